#!/usr/bin/env bash
# thop 0.1.1.post2209072238 and ultralytics-thop 2.2.3, which Ultralytics requires: two packages that install one module, `thop`.
#
# Expected: a second package either refuses or has a module of its own.
# Seen: whoever comes second overwrites the first without a word. `pip list` names both, `import thop` is the later one, and figures
#   change: a transposed convolution of stride 2 counts a quarter. Removing the newcomer takes the first one's files away as well.
# Last line: as described: installing Ultralytics' thop turned 65536 into 16384, removing it left no thop at all
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" --disable-pip-version-check --quiet)
"${pip[@]}" install torch==2.13.0 numpy==2.4.6 setuptools==78.1.1 thop==0.1.1.post2209072238
cd "$folder"
cat >count.py <<'PYTHON'
import warnings

import torch

warnings.simplefilter("ignore")
import thop  # noqa: E402

layer = torch.nn.Sequential(torch.nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, bias=False))
print(int(thop.profile(layer, (torch.zeros(1, 4, 8, 8),), verbose=False)[0]))
PYTHON
expect() {
    echo "$1: $2"
    [[ $2 == "$3" ]] || { echo "changed: $1 was $3"; exit 1; }
}
expect "thop alone" "$(venv/bin/python count.py)" 65536
"${pip[@]}" install ultralytics-thop==2.2.3
expect "packages of that name" "$(venv/bin/pip list 2>/dev/null | grep -c thop)" 2
expect "after ultralytics-thop came" "$(venv/bin/python count.py)" 16384
"${pip[@]}" uninstall --yes ultralytics-thop >/dev/null
expect "thop is still listed" "$(venv/bin/pip list 2>/dev/null | grep -c thop)" 1
if venv/bin/python count.py 2>/dev/null; then
    echo "changed: thop is still there"
    exit 1
fi
echo "as described: installing Ultralytics' thop turned 65536 into 16384, removing it left no thop at all"
