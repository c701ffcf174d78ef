"""The page about Python and the example beside it: every block of code runs, in order, in one interpreter."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")


def test_every_block_of_the_page_runs(tmp_path, warm_python):
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 10
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [warm_python, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_example_learns_what_it_found(tmp_path, warm_python):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [warm_python, ROOT / "examples/search_from_python.py", "--iterations", "1000", "--save_dir", "found"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", done.stdout)]
    # Ten equally likely colours: chance is ln(10).
    assert losses[-1] < 1.7 < 2 < losses[0]
    assert (tmp_path / "found/best_structure.txt").exists()
