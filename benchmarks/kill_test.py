"""Kill a search thirty times at random moments, resume it each time, and compare its files with an uninterrupted run's.

python -m benchmarks.kill_test --kills 30
python -m benchmarks.kill_test --kills 30 --islands 4 --workers 2
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gsnet.interface.running import run as run_command

ROOT = Path(__file__).parent.parent
OUTPUTS = ("history.csv", "best.json", "pareto.csv")
START = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)


def command(folder: Path, options: argparse.Namespace) -> list[str]:
    """The search that is killed."""
    return [
        *(sys.executable, str(ROOT / "evolution_search.py"), "--zero_shot_score", options.proxy),
        *("--fix_initialize", "--origin", "--search_space", str(ROOT / "SearchSpace/search_space_XXBL.py")),
        *("--plainnet_struct", START, "--budget_model_size", "1e6", "--max_layers", "18", "--population_size", "128"),
        *("--evolution_max_iter", str(options.iterations), "--save_dir", str(folder)),
        *("--islands", str(options.islands), "--workers", str(options.workers)),
    ]


def run(folder: Path, options: argparse.Namespace, *more: str) -> None:
    """Run a search to its end."""
    subprocess.run([*command(folder, options), *more], check=True, capture_output=True, cwd=ROOT)


def main() -> int:
    """Run the test; the exit status tells whether all files were equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--iterations", type=int, default=150_000)
    parser.add_argument("--proxy", default="ZenClosedForm")
    parser.add_argument("--islands", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        whole, killed = Path(temporary) / "whole", Path(temporary) / "killed"
        begun = time.monotonic()
        run(whole, options)
        seconds = time.monotonic() - begun
        print(f"uninterrupted: {seconds:.1f} s")
        kills = 0
        while kills < options.kills:
            resume = ["--resume"] if (killed / "search.db").exists() else []
            process = subprocess.Popen(
                [*command(killed, options), *resume], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            # Anything from start-up to well into the search.
            try:
                process.wait(timeout=generator.uniform(0.1, 2 * seconds / options.kills + 3))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                continue
            print(f"the search was finished after {kills} kills; raise --iterations for more")
            break
        if not (killed / "best.json").exists():
            run(killed, options, "--resume")
        equal = {name: (whole / name).read_bytes() == (killed / name).read_bytes() for name in OUTPUTS}
    verdicts = [f"{name} {'identical' if same else 'DIFFERENT'}" for name, same in equal.items()]
    print(f"{kills} kills: {', '.join(verdicts)}")
    return 0 if all(equal.values()) else 1


if __name__ == "__main__":
    sys.exit(run_command(main))
