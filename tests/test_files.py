"""Outputs that are no new files: links, devices, pipes, and what the shell has opened."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gsnet.interface.files import check_writable, write_text, written_whole

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
