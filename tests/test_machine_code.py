"""Where machine code is kept, what renews it, and who compiles it."""

import importlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from PlainNet import compiling, machine_code

SOURCE = '''"""A function that calls another one."""

from pathlib import Path

from PlainNet.compiling import compiled, kept_on_disk, source_version


@compiled
def twice(x):
    return 2 * x


def _kept_on_disk(version):
    def doubled(x):
        return twice(x) if version else x

    return kept_on_disk(doubled)


doubled = _kept_on_disk(source_version(Path(__file__)))
'''
HALVED = """
    def halved(x):
        return x / 2 if version else x

    return kept_on_disk(doubled), kept_on_disk(halved)"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's cache directory of its own."""
    monkeypatch.setattr(machine_code.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(machine_code.tempfile, "tempdir", str(tmp_path))
    return tmp_path / "home"


@pytest.fixture
def loaded(monkeypatch):
    """Imports a file of that content from a folder, as a fresh process would."""

    def load(folder, source=SOURCE):
        folder.mkdir(exist_ok=True)
        (folder / "of_mine.py").write_text(source)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "of_mine", raising=False)
        importlib.invalidate_caches()
        return importlib.import_module("of_mine")

    return load


@pytest.fixture
def started(monkeypatch):
    """How many processes were started to compile."""
    starts = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        machine_code.subprocess, "Popen", lambda *some, **more: starts.append(some) or popen(*some, **more)
    )
    return starts


def test_machine_code_is_made_once_by_another_process(tmp_path, home, loaded, started, caplog):
    caplog.set_level(logging.INFO)
    first = loaded(tmp_path / "one")
    assert first.doubled(1.5) == 3.0
    assert len(started) == 1 and "compiling of_mine.doubled, once for this computer" in caplog.text
    # What this process has, it has read; nothing of it was compiled here.
    assert not first.twice.overloads and sum(first.doubled.stats.cache_hits.values()) == 1
    # In another folder, with another time of change, beside another file that was not there.
    second = loaded(tmp_path / "two")
    (tmp_path / "two/unrelated.py").write_text("x = 1\n")
    os.utime(tmp_path / "two/of_mine.py", (1, 1))
    assert second.doubled(1.5) == 3.0 and len(started) == 1
    # What the function calls has changed, in the same number of bytes.
    changed = loaded(tmp_path / "two", SOURCE.replace("2 * x", "4 * x"))
    assert changed.doubled(1.5) == 6.0 and len(started) == 2
    # Both are there now, and a damaged file is made anew.
    assert loaded(tmp_path / "one").doubled(2.5) == 5.0 and len(started) == 2
    for kept in home.rglob("*.nbc"):
        kept.write_bytes(kept.read_bytes()[:100])
    assert loaded(tmp_path / "one").doubled(2.5) == 5.0 and len(started) == 3


def test_a_function_is_there_before_all_that_was_asked_for_with_it(tmp_path, home, loaded, started):
    source = SOURCE.replace("    return kept_on_disk(doubled)", HALVED).replace("doubled = ", "doubled, halved = ")
    module = loaded(tmp_path / "one", source)
    # Whoever compiles the second function waits for this lock.
    with machine_code._alone(machine_code.kept_in() / "of_mine.halved.lock"):
        compiling.begin("both", [(module.doubled, (1.5,)), (module.halved, (1.5,))])
        assert module.doubled(1.5) == 3.0
        assert not list(home.rglob("*halved*.nb?"))
    assert module.halved(1.5) == 0.75 and len(started) == 1
    assert not machine_code._processes._running


def test_who_hands_an_array_on_counts_no_references_to_it():
    """Instructions that wait for other processors: with them closed forms take half as long again, of gradients twice."""
    numba = pytest.importorskip("numba")
    last = compiling.compiled(lambda row: row[-1])

    @compiling.compiled
    def summed(rows):
        total = 0.0
        for index in range(rows.shape[0]):
            total += last(rows[index]) + last(rows[index, 1:])
        return total

    kind = (numba.float64[:, ::1],)
    summed.compile(kind)
    assert "NRT_incref" not in summed.inspect_llvm(kind)


def test_a_process_that_cannot_compile_leaves_it_to_this_one(tmp_path, home, loaded, monkeypatch):
    monkeypatch.setattr(machine_code, "_COMMAND", "raise SystemExit('no room')")
    assert loaded(tmp_path / "one").doubled(np.float32(1.5)) == 3.0
    monkeypatch.setattr(machine_code.sys, "executable", None)
    assert loaded(tmp_path / "two", SOURCE.replace("2 * x", "6 * x")).doubled(1.5) == 9.0


def test_where_no_cache_directory_can_be_written_to_it_is_kept_elsewhere(tmp_path, home):
    assert machine_code.kept_in().is_relative_to(home)
    home.parent.joinpath("home").rename(tmp_path / "was")
    home.write_text("no folder can be made here")
    elsewhere = machine_code.kept_in()
    assert elsewhere.parent.parent == tmp_path and elsewhere.parent.stat().st_mode & 0o777 == 0o700
    # Where others may have put something there, nothing is read from it.
    elsewhere.parent.chmod(0o777)
    assert machine_code.kept_in() is None


def test_a_folder_that_is_named_comes_first(tmp_path, home, monkeypatch):
    monkeypatch.setattr(machine_code.config, "CACHE_DIR", str(tmp_path / "named"))
    assert machine_code.kept_in().is_relative_to(tmp_path / "named")


def test_an_interrupt_ends_the_waiting_and_the_process(tmp_path, home, loaded, monkeypatch):
    monkeypatch.setattr(machine_code, "_COMMAND", "import time; time.sleep(30)")
    module = loaded(tmp_path / "one")
    # Processes that run tests side by side pass interrupts over.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        while not machine_code._processes._running:
            time.sleep(0.05)
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            module.doubled(1.5)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not machine_code._processes._running


def test_functions_are_as_they_are_without_a_compiler(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    for decorate in (compiling.compiled, compiling.kept_on_disk, compiling.inlined, compiling.unfolded):
        assert decorate(len) is len


def test_a_change_of_how_code_is_compiled_renews_it_too():
    own = {Path(compiling.__file__), Path(compiling.__file__).with_name("deferred.py")}
    assert all(file.exists() for file in own)
    assert compiling.source_version() != compiling.source_version(*own)
