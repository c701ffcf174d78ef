"""A file that was exported, which is run as it is by a runtime that reads such files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gsnet.interface.description import KEY, NetworkDescription
from gsnet.interface.network_names import existing_path
from gsnet.interface.options import InputError
from gsnet.interface.words import either
from gsnet.models.described import ONNX_SUFFIX, of_file, torchscript_texts
from gsnet.models.expected import size_text
from gsnet.runtimes import RuntimesError, Session, runtime, runtimes_named
from gsnet.runtimes.formats import readers
from gsnet.runtimes.registry import ALL

_TORCHSCRIPT = ".pt"
_CHANNELS = 3


def exported_file(name: str) -> Path | None:
    """The file that a name is, where a runtime reads such files; None for a checkpoint and for what is no file."""
    path = existing_path(name)
    if path is None or not path.is_file() or not readers(path.suffix):
        return None
    # A checkpoint may have the same suffix.
    return None if path.suffix == _TORCHSCRIPT and torchscript_texts(path) is None else path


def runtimes_of(file: Path, asked: Sequence[str] | None) -> tuple[str, ...]:
    """The names of runtimes that a file is to be run by.

    asked: by which, None for the one that it was exported for; "all" is those of its readers that are installed. Raises
    RuntimesError for one that reads no such files.
    """
    known = readers(file.suffix)
    if asked is None:
        return known[:1]
    if tuple(asked) == (ALL,):
        return tuple(name for name in known if not runtime(name).missing(writing=False)) or known[:1]
    for name in runtimes_named(asked):
        if name not in known:
            raise RuntimesError(
                f"{file} is read by {either(known)}, not by {name}: leave --backend out, or export the network for {name}"
            )
    return tuple(asked)


def described_by(file: Path, session: Session) -> NetworkDescription | None:
    """What a file says of its network, beside the network or where its runtime shows it. Raises InputError where damaged."""
    if KEY in session.texts:
        return NetworkDescription.from_json(session.texts[KEY])
    # Neither torch nor OpenCV shows what stands beside a network.
    found = of_file(file) if file.suffix in (_TORCHSCRIPT, ONNX_SUFFIX) else None
    return found.description if found else None


def side_of(file: Path, session: Session, given: int | None) -> int:
    """The side of its square images in pixels: the only one that it takes, or as given, or as it says of itself.

    Raises InputError where it takes others, or does not say it.
    """
    own = None
    if (shape := session.shape) is not None:
        if len(shape) != 4 or shape[1] not in (None, _CHANNELS) or shape[2] != shape[3]:
            taken = " x ".join("N" if size is None else str(size) for size in shape)
            raise InputError(f"{file} takes {taken} numbers, and is run here on square images, N x {_CHANNELS} x H x H")
        own = shape[2]
    if own is not None and given not in (None, own):
        raise InputError(f"{file} takes images of {size_text(own)} alone: leave --input_image_size {given} out")
    said = described_by(file, session) if (own or given) is None else None
    side = own or given or (said and said.resolution)
    if not side:
        raise InputError(f"{file} does not say how large its images are: give --input_image_size")
    return side


def images_at_once(session: Session) -> int | None:
    """The only number of images that a file takes at a time; None where any will do, or it is not known."""
    return session.shape[0] if session.shape else None
