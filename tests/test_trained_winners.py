"""The benchmark of trained winners: what its table says, and which images it takes."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from benchmarks.saved_rows import read_rows, save_rows
from benchmarks.trained_winners import CANDIDATES, KEY, TABLES, chosen, described
from benchmarks.trained_winners_table import table

DOCS = Path(__file__).parent.parent / "docs"


def winner(candidate: str, seed: int, accuracy: float) -> dict[str, str]:
    costs = {"train_acc1": "90.0", "layers": "12", "flops": "11900000"}
    return {"candidate": candidate, "seed": str(seed), "test_acc1": str(accuracy)} | costs


def test_differences_are_of_equal_seeds_with_the_standard_error_of_their_mean():
    rows = [winner("Random", 0, 60.0), winner("Random", 1, 64.0), winner("ZenClosedForm", 0, 63.0)]
    rows += [winner("ZenClosedForm", 1, 65.0), winner("Flops", 0, 61.0)]
    lines = list(table(rows))[2:]
    # By hand: differences 3 and 1, their deviation sqrt(2), over sqrt(2) one; beside Flops there is one seed.
    assert lines[0] == (
        "| ZenClosedForm | 64.00 ± 1.41 | +2.00 ± 1.00 | +2.00 | 63.0 / 65.0 | 90.0 | 12/12 | 11.9/11.9 |"
    )
    assert lines[1].startswith("| Random | 62.00 ± 2.83 |  | -1.00 |")
    assert lines[2].startswith("| Flops | 61.00 | +1.00 |  |")


def test_the_first_training_images_of_each_class_and_all_test_images_are_taken():
    members = [
        tarfile.TarInfo(f"cifar10/{part}/{name}/{number:04}.jpg")
        for number in (2, 0, 1)
        for part in ("train", "test")
        for name in ("cat", "dog")
    ]
    taken = {member.name for member in chosen(members, 2)}
    assert taken == {
        f"cifar10/{part}/{name}/{number:04}.jpg"
        for part, count in (("train", 2), ("test", 3))
        for name in ("cat", "dog")
        for number in range(count)
    }


def test_a_run_of_less_loses_no_rows(tmp_path):
    rows = {(name,): {"name": name, "figure": name.upper()} for name in "cab"}
    save_rows(tmp_path / "rows.csv", ("name", "figure"), rows, [("a",), ("missing",), ("b",)])
    assert (tmp_path / "rows.csv").read_text() == "name,figure\na,A\nb,B\nc,C\n"
    assert read_rows(tmp_path / "rows.csv", ("name",)) == rows


def test_the_page_says_what_the_kept_rows_are():
    rows = read_rows(DOCS / "trained_winners.csv", KEY)
    assert {candidate for _, candidate, _ in rows} <= set(CANDIDATES)
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    for name in TABLES:
        mine = [row for key, row in rows.items() if key[0] == name]
        if mine:
            assert "\n".join((described(name), "", *table(mine))) in page


def test_candidates_are_chosen_by_name_and_a_run_that_is_told_to_end_ends_what_it_started(tmp_path):
    command = [sys.executable, "-m", "benchmarks.trained_winners", "--seeds", "1", "--candidate", "Flops"]
    command += ["--work_dir", str(tmp_path), "--file", str(tmp_path / "rows.csv"), "--page", str(tmp_path / "page.md")]
    small_archive(tmp_path / "data")
    environment = os.environ | {"GSNET_DATA": str(tmp_path / "data")}
    with subprocess.Popen(command, cwd=DOCS.parent, env=environment, stderr=subprocess.DEVNULL) as started:
        lock = tmp_path / "small/Flops_0/search/search.lock"
        while not lock.is_file() or not lock.read_text():
            assert started.poll() is None
            time.sleep(0.1)
        search = int(lock.read_text())
        started.terminate()
    assert started.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(search, 0)


def small_archive(folder: Path) -> None:
    """An archive of the layout of CIFAR-10's, of pictures that no test reads."""
    folder.mkdir()
    with tarfile.open(folder / "cifar10_jpeg.tar.gz", "w:gz") as archive:
        for part in ("train", "test"):
            archive.addfile(tarfile.TarInfo(f"cifar10/{part}/cat/0.jpg"))
