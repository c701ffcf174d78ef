"""Outputs that are no new files: links, devices, pipes, and what the shell has opened."""

import argparse
import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gsnet.commands import compare
from gsnet.interface import partial
from gsnet.interface.files import check_writable, write_text, written_whole
from gsnet.interface.partial import part_folder
from gsnet.interface.path_options import new_file
from gsnet.models.exporting import written_beside
from ZeroShotProxy import UnknownProxyError

PRINTING = """
import sys
from pathlib import Path
from gsnet.interface.files import check_writable, write_text
print("before")
check_writable(Path(sys.argv[1]))
write_text(Path(sys.argv[1]), "a,b\\n")
print("after")
"""


def test_a_link_is_written_through_and_stays(tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "there.csv")
    for text in ("one\n", "two\n"):
        write_text(tmp_path / "link.csv", text)
        assert (tmp_path / "there.csv").read_text() == text
    assert (tmp_path / "link.csv").is_symlink()
    with pytest.raises(ZeroDivisionError), written_whole(tmp_path / "link.csv") as file:
        file.write("half")
        raise ZeroDivisionError
    assert (tmp_path / "link.csv").read_text() == "two\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.csv", "there.csv"]


def test_a_pipe_is_written_to_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()), daemon=True)
    reader.start()
    check_writable(tmp_path / "pipe")
    write_text(tmp_path / "pipe", "a,b\n")
    reader.join(timeout=60)
    assert read == ["a,b\n"] and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_devices_are_written_to_and_stay(monkeypatch):
    # Who runs this as root would lose the device, were it replaced.
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("a device is replaced"))
    check_writable(Path("/dev/null"))
    write_text(Path("/dev/null"), "a,b\n")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write_text(Path("/dev/full"), "a,b\n")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"])
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_standard_output_is_written_to_where_it_stands(name, kind, tmp_path):
    command = [sys.executable, "-c", PRINTING, name]
    if kind == "pipe":
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        with (tmp_path / "out.txt").open("w") as file:
            subprocess.run(command, stdout=file, check=True)
        said = (tmp_path / "out.txt").read_text()
    assert said == "before\na,b\nafter\n"


WRITING = """
import sys, time
from pathlib import Path
from gsnet.interface.files import written_whole
from gsnet.models.exporting import written_beside
writing = {"file": lambda path: written_whole(path), "folder": written_beside}[sys.argv[1]]
with writing(Path(sys.argv[2])):
    print("begun", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_removed_and_what_another_one_writes_stays(kind, tmp_path):
    target = tmp_path / "net.onnx"
    others = (tmp_path / ".net.onnx.mine.part", tmp_path / ".net.onnx.backup", tmp_path / ".net.onnx2.part")
    for path in others:
        path.mkdir()
    command = [sys.executable, "-c", WRITING, kind, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        (part,) = set(tmp_path.iterdir()) - set(others)
        with written_beside(target):
            assert part.exists()
        assert part.exists(), "it is being written"
        process.kill()
    with written_beside(target) as folder:
        assert not part.exists() and folder.is_dir()
    assert set(tmp_path.iterdir()) == set(others)


def test_a_part_that_is_taken_for_a_leftover_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    target, locks = tmp_path / "net.onnx", []
    lock = fcntl.flock

    def late(descriptor, how):
        if not locks:
            locks.append(None)
            partial.remove_leftovers(target)
        return lock(descriptor, how)

    monkeypatch.setattr(partial.fcntl, "flock", late)
    write_text(target, "whole")
    assert locks and target.read_text() == "whole" and [*tmp_path.iterdir()] == [target]


def test_without_locks_files_are_written_and_nothing_is_taken_for_a_leftover(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(partial.fcntl, "flock", refused)
    with written_beside(tmp_path / "net.onnx") as part:
        with written_beside(tmp_path / "net.onnx"):
            assert part.is_dir()
        write_text(tmp_path / "net.onnx", "whole")
        assert part.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_a_folder_is_made_when_its_file_is_written_and_not_before(tmp_path):
    """Also where the writing ends in an error: an empty folder says nothing."""
    file = tmp_path / "new" / "folder" / "table.csv"
    assert new_file(str(file)) == file
    with pytest.raises(UnknownProxyError):
        compare.main(
            ["SuperConvK3BNRELU(3,8,1,1)", "--csv", str(file), "--html", str(file), "--zero_shot_score", "Zne"]
        )
    assert list(tmp_path.iterdir()) == []
    for begin in (written_whole, part_folder):
        with pytest.raises(KeyError), begin(file):
            raise KeyError
    assert list(tmp_path.iterdir()) == []
    write_text(file, "a")
    assert file.read_text() == "a"


def written_in_a_folder(target: Path) -> None:
    with written_beside(target) as part:
        part.joinpath("network").write_text("whole")
        part.joinpath("network").replace(target)


def is_interrupted_at(line: int, work: Callable[[], None]) -> bool:
    """Interrupt the work at its line-th line, Python's own library included; False where it has no so many."""
    left = line
    # The lines that remove a part are the last that may be interrupted; shutil then closes a descriptor twice.
    skipped = {"written_in_a_folder", "part_file", "part_folder", "_remove_folder"}

    def at_line(frame, event, _):
        nonlocal left
        if event == "line" and frame.f_code.co_name not in skipped and "shutil" not in frame.f_code.co_filename:
            left -= 1
            if left == -1:
                raise KeyboardInterrupt
        return at_line

    before = sys.gettrace()
    try:
        sys.settrace(at_line)
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    # Python itself drops an interrupt in a generator that is closed there.
    return left < 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("write", [lambda target: write_text(target, "whole"), written_in_a_folder])
def test_an_interrupt_at_any_line_leaves_nothing_half_written(write, tmp_path):
    """A file is whole or is not there."""
    target = tmp_path / "new" / "network"
    line = 0
    while is_interrupted_at(line, lambda: write(target)):
        found = [path for path in tmp_path.rglob("*") if path.is_file() or path.name.endswith(".part")]
        assert found in ([], [target]) and all(path.read_text() == "whole" for path in found), line
        if target.exists():
            target.unlink()
            target.parent.rmdir()
        line += 1
    assert line > 300 and target.read_text() == "whole"


def test_a_file_in_a_file_or_in_a_folder_that_cannot_be_made_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(argparse.ArgumentTypeError, match="file is no folder, in which a file is to be written"):
        new_file(str(tmp_path / "file" / "folder" / "table.csv"))
    sealed = tmp_path / "sealed"
    sealed.mkdir()
    sealed.chmod(0o500)
    if os.access(sealed, os.W_OK):
        pytest.skip("whoever runs this may write everywhere")
    with pytest.raises(argparse.ArgumentTypeError, match="Permission denied"):
        new_file(str(sealed / "folder" / "table.csv"))
