#!/usr/bin/env bash
# calflops 0.3.2 with torch 2.13.0: installed as its own requirements say, for a convolutional network.
#
# Expected: `pip install calflops` brings all that `import calflops` needs.
# Seen: the import fails for want of `transformers`, which is not among the requirements; with it installed, the count works.
# Last line: as described: import calflops fails until transformers is installed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 calflops==0.3.2 numpy==2.4.6
cd "$folder"
if venv/bin/python -c "import calflops" 2>error.txt; then
    echo "changed: import calflops works as installed"
    exit 1
fi
tail -n 1 error.txt
grep -q "No module named 'transformers'" error.txt || { echo "changed: another error"; exit 1; }
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0
venv/bin/python - <<'PYTHON'
from calflops import calculate_flops
from torch import nn

_, macs, _ = calculate_flops(
    nn.Conv2d(3, 8, 3, padding=1), input_shape=(1, 3, 16, 16), print_results=False, output_as_string=False
)
if macs != 16 * 16 * 8 * 27:
    raise SystemExit(f"changed: {macs} multiply-accumulates")
PYTHON
echo "as described: import calflops fails until transformers is installed"
