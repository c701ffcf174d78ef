"""A Python that has torch in memory already, for tests that start many scripts.

Importing torch and torchvision takes seconds, each time. `WarmPython` imports them once, in a server, and gives a command,
`WarmPython.command`, that is called like `python`: it hands its arguments, folder, environment and standard streams to the
server, which forks a process that has them and runs there what Python would have run, to the same exit status. Nothing of
the project is imported beforehand.

    python tests/warm_python.py SOCKET    the server
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from pathlib import Path

PRELOADED = ("torch", "torch.utils.tensorboard", "torchvision", "ptflops", "matplotlib.pyplot", "numba", "cv2", "tqdm")
_LENGTH = struct.Struct("!I")
# What the command does; it must start fast, so it imports next to nothing. It outlives an interrupt, to tell the status.
_CLIENT = """#!{python} -SE
import json, os, signal, socket, struct, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [struct.pack("!I", len(request))], [0, 1, 2])
    server.sendall(request)
    worker, = struct.unpack("!I", server.recv(4, socket.MSG_WAITALL))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(worker, signal.SIGTERM))
    signal.signal(signal.SIGINT, lambda *_: os.kill(worker, signal.SIGINT))
    answer = server.recv(4, socket.MSG_WAITALL)
sys.exit(struct.unpack("!I", answer)[0] if answer else 255)
"""


class WarmPython:
    """The server, and the command that uses it; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.command = folder / "python"
        address = str(folder / "server")
        self.command.write_text(_CLIENT.format(python=sys.executable, address=address))
        self.command.chmod(0o755)
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, __file__, address], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"ready\n"

    def __enter__(self) -> WarmPython:
        return self

    def __exit__(self, *_: object) -> None:
        # The server ends when its standard input does.
        self._server.communicate()


def serve(address: str) -> None:
    """Accept commands until standard input ends."""
    import importlib

    for name in PRELOADED:
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    print("ready", flush=True)
    while True:
        connection = listener.accept()[0]
        if os.fork() == 0:
            listener.close()
            _attend(connection)
        connection.close()
        _reap()


def _end_with_standard_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _attend(connection: socket.socket) -> None:
    """In a process of its own: start the worker and tell the client its number, then its status."""
    head, streams, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
    request = json.loads(connection.recv(_LENGTH.unpack(head)[0], socket.MSG_WAITALL))
    worker = os.fork()
    if worker == 0:
        connection.close()
        _become(streams, *request)
    for stream in streams:
        os.close(stream)
    connection.sendall(_LENGTH.pack(worker))
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    connection.sendall(_LENGTH.pack(status if status >= 0 else 128 - status))
    os._exit(0)


def _become(streams: list[int], arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """What `python ARGUMENTS` does."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    status = 1
    try:
        _run(arguments)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    _leave(status)


def _run(arguments: list[str]) -> None:
    extra = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    first, *rest = arguments
    if first == "-m":
        sys.path[:1] = [str(Path.cwd()), *extra]
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.path[:1] = ["", *extra]
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path[:1] = [str(Path(first).resolve().parent), *extra]
        sys.argv = arguments
        runpy.run_path(first, run_name="__main__")


def _leave(status: int) -> None:
    """End as Python does: threads are waited for, exit functions called, streams flushed."""
    import atexit

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 120
    os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
