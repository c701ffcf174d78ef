"""An interrupt while the search still compiles its code, where Python loses the exception that it would raise."""

import contextlib
import csv
import logging
import signal

import pytest

import gsnet
from gsnet.commands import evolution_search
from gsnet.evolution import session

START = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"
OPTIONS = [
    *("--zero_shot_score", "Params", "--search_space", "XXBL", "--plainnet_struct", START, "--origin"),
    *("--fix_initialize", "--evolution_max_iter", "60", "--population_size", "8"),
]


@pytest.fixture
def compiling(monkeypatch):
    """A signal comes inside a callback that swallows exceptions, as those of numba's compiler do."""
    make = session.make_executor

    def arrange(number):
        def compile_first(*arguments):
            with contextlib.suppress(BaseException):
                signal.raise_signal(number)
            return make(*arguments)

        monkeypatch.setattr(session, "make_executor", compile_first)

    yield arrange
    logging.basicConfig(force=True)


def proposals(folder):
    rows = csv.DictReader((folder / "history.csv").open())
    return [(row["structure"], row["outcome"], row["parent"], row["score"]) for row in rows]


def test_a_signal_while_it_compiles_ends_the_search_and_resume_goes_on(tmp_path, compiling, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert evolution_search.main([*OPTIONS, "--save_dir", str(whole)]) == 0
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        compiling(number)
        assert evolution_search.main([*OPTIONS, "--save_dir", str(stopped), "--resume"]) == status
        assert not (stopped / "best_structure.txt").exists()
        monkeypatch.undo()
    assert evolution_search.main([*OPTIONS, "--save_dir", str(stopped), "--resume"]) == 0
    assert proposals(stopped) == proposals(whole)


def test_a_program_is_interrupted_too(compiling):
    compiling(signal.SIGINT)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        gsnet.search(START, space="XXBL", proxy="Params", iterations=60)
    assert signal.getsignal(signal.SIGINT) is handler
