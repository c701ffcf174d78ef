"""Where the weights of a published network come from: a given file, the cache, or a download into the cache."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import logging
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from gsnet.interface.options import InputError
from ZenNet.catalogue import Published, base_url

_LOG = logging.getLogger(__name__)
_CHUNK = 1 << 18
_ATTEMPTS = 3
_TIMEOUT = 30.0


class WeightsError(InputError):
    """Weights that cannot be had or do not fit; the message says which file to put where."""


class NoWeightsError(WeightsError):
    """Weights of a network that cannot be had, and what can be done: the message names the options of most scripts.

    problem: why, with the sign behind it. before, after: other ways than a checkpoint of one's own.
    """

    def __init__(self, problem: str, *, before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> None:
        self.problem, self.before, self.after = problem, before, after
        super().__init__(self.told("--weights", after))

    def __reduce__(self) -> tuple:
        return partial(type(self), before=self.before, after=self.after), (self.problem,)

    def told(self, option: str, after: tuple[str, ...] = ()) -> str:
        """The message for a script that takes a checkpoint by another option; after: ways that it has besides."""
        ways = [*self.before, f"give a checkpoint with {option} FILE", *after]
        *others, last = ways
        return f"{self.problem} {', '.join(others)}, or {last}" if others else f"{self.problem} {last}"


class _BrokenOffError(Exception):
    """A transfer that ended early and may be continued."""


def cache_folder() -> Path:
    """The folder of downloaded checkpoints: ZENNET_HOME, else the one that ZenNAS uses."""
    home = os.environ.get("ZENNET_HOME")
    return Path(home).expanduser() if home else Path.home() / ".cache/pytorch/checkpoints/zennet_pretrained"


def find_weights(entry: Published, weights: str | Path | None = None, weights_url: str | None = None) -> Path:
    """The file with a network's weights: `weights`, else the cache, else downloaded from below `weights_url`.

    A safetensors file beside the cached checkpoint (same name, other suffix) is preferred. Raises WeightsError.
    """
    if weights is not None:
        file = Path(weights).expanduser()
        if not file.is_file():
            raise WeightsError(f"There is no file {file}: --weights takes a checkpoint of {entry.name}")
        return file
    if entry.path is None:
        raise NoWeightsError(f"No weights of {entry.name} were published:")
    elsewhere = entry.path.startswith(("http://", "https://"))
    if not elsewhere and (own := Path(entry.path).expanduser()).is_absolute():
        if not own.is_file():
            raise WeightsError(f"There is no file {own}, where {entry.name} was said to have its weights")
        return own
    file = cache_folder() / (
        Path(entry.name, PurePosixPath(urlsplit(entry.path).path).name) if elsewhere else entry.path
    )
    for candidate in (file.with_suffix(".safetensors"), file):
        if candidate.is_file():
            return candidate
    url = entry.path if elsewhere else f"{(weights_url or base_url()).rstrip('/')}/{entry.path}"
    try:
        download(url, file, entry.length, entry.sha256)
    except WeightsError as error:
        place, mirror = f"put the checkpoint of {entry.name} at {file}", "name a mirror with --weights_url"
        raise NoWeightsError(f"{error};", before=(place,), after=(mirror,)) from error
    return file


def download(url: str, file: Path, length: int | None = None, sha256: str | None = None) -> None:
    """Fetch a checkpoint to `file`, which is either whole or absent afterwards.

    What has come so far is kept under a temporary name, and a later call continues there when the server says that its
    file is still the same (HTTP Range and If-Range, RFC 9110 sections 14.2 and 13.1.5). Processes that want the same
    file wait for the first. length in bytes and sha256 in hexadecimal are checked where given. Raises WeightsError.
    """
    if not url.startswith(("http://", "https://")):
        raise WeightsError(f"{url} is no address for a download, which begins with http:// or https://")
    part = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(file.with_name(f".{file.name}.lock")):
            if file.is_file():
                return
            _fetch_all(url, part)
            _check(url, part, length, sha256)
            part.replace(file)
            _tag_of(part).unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(f"{file} cannot be written ({error.strerror or error})") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    # Only after success, when every process that still waits finds the file: removed earlier, two could write at once.
    path.unlink(missing_ok=True)


def _tag_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _fetch_all(url: str, part: Path) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _fetch(url, part)
        except _BrokenOffError as error:
            have = part.stat().st_size if part.exists() else 0
            if attempt == _ATTEMPTS:
                raise WeightsError(
                    f"The download of {url} broke off at {have:,} bytes ({error}); running again continues there"
                ) from error
            _LOG.warning("The download broke off at %s bytes (%s); trying again", f"{have:,}", error)
    return None


def _fetch(url: str, part: Path) -> None:
    have, tag = (part.stat().st_size if part.exists() else 0), _tag_of(part)
    headers = {}
    if have and tag.exists():
        headers = {"Range": f"bytes={have}-", "If-Range": tag.read_text()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as answer:
            _receive(answer, part, tag, have if answer.status == 206 else 0)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # What is here is longer than the server's file: begin anew.
            part.unlink(missing_ok=True)
            raise _BrokenOffError("the server's file is another one") from error
        raise WeightsError(f"{url} answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise WeightsError(f"{url} cannot be reached ({error.reason})") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from error


def _receive(answer: http.client.HTTPResponse, part: Path, tag: Path, start: int) -> None:
    declared = answer.headers.get("Content-Length")
    total = start + int(declared) if declared is not None and declared.isdigit() else None
    validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    # A weak tag promises the same meaning, not the same bytes.
    if validator and not validator.startswith("W/"):
        tag.write_text(validator)
    else:
        tag.unlink(missing_ok=True)
    with part.open("ab" if start else "wb") as file:
        received = start + _copy(answer, file, start, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and received < total:
        raise _BrokenOffError(f"{total:,} were announced")


def _copy(answer: http.client.HTTPResponse, file: IO[bytes], start: int, total: int | None) -> int:
    from tqdm import tqdm

    copied = 0
    with tqdm(
        total=total, initial=start, unit="B", unit_scale=True, disable=not sys.stderr.isatty(), desc="weights"
    ) as bar:
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            copied += len(chunk)
            bar.update(len(chunk))
    return copied


def _check(url: str, part: Path, length: int | None, sha256: str | None) -> None:
    fault = _fault(part, length, sha256)
    if fault is None:
        return
    part.unlink()
    _tag_of(part).unlink(missing_ok=True)
    raise WeightsError(f"What {url} delivers is not the checkpoint: {fault}")


def _fault(part: Path, length: int | None, sha256: str | None) -> str | None:
    size = part.stat().st_size
    if length is not None and size != length:
        return f"it has {size:,} bytes instead of {length:,}"
    if sha256 is not None:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256.lower():
            return f"its SHA-256 is {found} instead of {sha256}"
    return foreign(part)


def foreign(file: Path) -> str | None:
    """Why a file is no checkpoint, judged by its first bytes; None when it may be one."""
    with file.open("rb") as stream:
        head = stream.read(512)
    if not head:
        return "it is empty"
    if head.lstrip().startswith(b"<"):
        return "it is an HTML page"
    # torch's archive and its old format (a pickle), and safetensors: the header's length in 8 bytes, then JSON.
    if head.startswith((b"PK\x03\x04", b"\x80")) or head[8:9] == b"{":
        return None
    return "it is neither a torch checkpoint nor safetensors"
