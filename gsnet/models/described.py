"""What a file or a results folder says of the network in it, so that its path is all that --arch and --weights need.

    found = described("save_dir/mine/training")      # a folder of a search or of a training, a checkpoint, an exported file
    found.description.resolution, found.weights

No torch is needed but for checkpoints.
"""

from __future__ import annotations

import functools
import json
import logging
import shlex
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PlainNet
import ZenNet
from gsnet.interface.description import KEY, NetworkDescription
from gsnet.interface.network_names import existing_path
from gsnet.interface.options import InputError
from gsnet.interface.result_files import (
    BEST_CHECKPOINT,
    BEST_JSON,
    BEST_STRUCTURE,
    CONFIG,
    DATABASE,
    LATEST_CHECKPOINT,
)

_LOG = logging.getLogger(__name__)
ONNX_SUFFIX = ".onnx"
# A folder in the layout of timm's hub, as `gsnet export` writes it.
HUB_WEIGHTS = "model.safetensors"
_WEIGHTS = (BEST_CHECKPOINT, LATEST_CHECKPOINT, HUB_WEIGHTS)


@dataclass(frozen=True)
class Described:
    """A network that says of itself what it is.

    file: what says so. weights: the file with its weights, None where there are none, as in the folder of a search. data_dir:
    where the data lie that it was trained on, if its training says so.
    """

    description: NetworkDescription
    file: Path
    weights: Path | None = None
    data_dir: Path | None = None


class UnnamedClassError(InputError):
    """A file holds weights of a class of the user's, which nobody has named: the message is for most scripts.

    name: FILE.py:Class, as the training was given it.
    """

    def __init__(self, file: Path, name: str) -> None:
        self.file, self.name = file, name
        super().__init__(self.told("--weights"))

    def __reduce__(self) -> tuple:
        return type(self), (self.file, self.name)

    def told(self, option: str, arch: str = "--arch") -> str:
        """The message for a script that takes a checkpoint, and its network, by other options."""
        return f"{self._why}: give {arch} {self._named} and {option} {self.file}"

    def told_in_python(self) -> str:
        """The same for the functions of a program, which all take the class in the place of the path."""
        return f"{self._why}: give the class, or {self._named!r}, in its place, with weights={str(self.file)!r}"

    @property
    def _why(self) -> str:
        return f"{self.file} is of the class {self.name}, whose file is run only where it is named"

    @property
    def _named(self) -> str:
        """What names the class: as it was, where its file is still there."""
        file, _, member = self.name.rpartition(":")
        return self.name if Path(file).is_file() else f"FILE.py:{member}"


def described(name: str | Path) -> Described | None:
    """What a path says of its network; None where `name` is none, and for a file or folder that says nothing.

    A folder is one of a training, whose best checkpoint counts, one of a search, or one that `gsnet export` wrote. A structure
    file beside the best.json that belongs to it is as good as the folder. Raises InputError for a search without a winner, and
    for a damaged description.
    """
    path = existing_path(name)
    if path is None:
        return None
    if path.is_dir():
        return _of_folder(path) if is_result(path) and not is_known_name(str(name)) else None
    if not path.is_file() or path.suffix == ".py":
        return None
    if path.suffix == ".txt":
        return _of_structure_file(path)
    return of_file(path)


def chosen(found: Described, *, use_se: bool = False, unit: str | None = None) -> NetworkDescription:
    """The description with what was given by hand, which wins; where the two contradict each other, that is said."""
    own = found.description
    changed: dict[str, Any] = {}
    if use_se and not own.style.use_se:
        changed["use_se"] = True
    if unit not in (None, own.unit):
        changed["unit"] = unit
    if not changed:
        return own
    given = " and ".join(_in_words(name, value) for name, value in changed.items())
    recorded = " and ".join(_in_words(name, getattr(own, name)) for name in changed)
    _LOG.warning("%s is taken %s, as asked for: it says itself that it is %s", found.file, given, recorded)
    return replace(own, **changed)


def _in_words(name: str, value: Any) -> str:
    """A choice that a description has, or that was given in its place."""
    if name == "use_se":
        return f"{'with' if value else 'without'} squeeze-and-excitation"
    return f"with the {value} GhostShuffle unit"


def of_file(path: Path) -> Described | None:
    """What a checkpoint or an exported file says of its network; None where it says nothing. Raises InputError."""
    status = path.stat()
    try:
        found = _read(path, status.st_mtime_ns, status.st_size)
    except InputError as error:
        raise InputError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from error
    return found


def checkpoint_in(folder: Path) -> Path | None:
    """The weights of a training's folder, or of one that was exported; None where there are none."""
    return next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)


def checkpoint_of(path: Path) -> Path:
    """The weights that a path means: those of a folder, or the file itself. Raises InputError."""
    found = checkpoint_in(path) if path.is_dir() else path
    if found is None:
        raise InputError(f"{path} holds no checkpoint: {BEST_CHECKPOINT} and {LATEST_CHECKPOINT} were looked for")
    return found


def is_result(path: Path) -> bool:
    """Whether a folder holds what a search, a training or an export leaves."""
    return any((path / name).is_file() for name in (*_WEIGHTS, BEST_JSON, DATABASE))


def is_known_name(name: str) -> bool:
    """Whether a network of others has this name, beside a folder of the same."""
    if "/" in name or name in ZenNet.list_models():
        return name in ZenNet.list_models()
    from gsnet.models import libraries

    return name in libraries.torchvision_names() or libraries.is_timm(name)


def _of_folder(folder: Path) -> Described:
    if file := checkpoint_in(folder):
        found = of_file(file)
        if found is None:
            raise InputError(f"{file} does not say what it is of: name the network with --arch, and it with --weights")
        return found
    if (folder / BEST_JSON).is_file():
        return _of_search(folder)
    raise InputError(
        f"{folder} holds a search that has no winner yet: let it end with --resume, or take the best so far by "
        f"evolution_search.py --report {folder}"
    )


def _of_search(folder: Path) -> Described:
    file = folder / BEST_JSON
    config = _table(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    best = _table(file)
    if KEY in best:
        description = NetworkDescription.from_dict(best[KEY])
    else:
        settings = config.get("settings", {})
        if "structure" not in best:
            raise InputError(f"{file} names no network")
        description = NetworkDescription.from_dict(
            {
                "structure": best["structure"],
                "resolution": best.get("input_image_size", 224),
                "classes": best.get("num_classes", 1000),
                "use_se": settings.get("use_se", False),
                "no_BN": settings.get("no_BN", False),
                "seed": best.get("seed"),
                "search": {name: best[name] for name in ("zero_shot_score", "score") if name in best},
            }
        )
    if command := config.get("arguments"):
        text = shlex.join(_without_folders(str(word)) for word in command)
        description = replace(description, search=description.search | {"command": text})
    return Described(description, file)


def _without_folders(word: str) -> str:
    """A word of a command line, and of a path from the root its last part.

    Exported files, which are given away, hold the command: where things lay on that machine is nobody's business.
    """
    option, equals, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    return f"{option}{equals}{Path(value).name}" if Path(value).is_absolute() else word


def _of_structure_file(file: Path) -> Described | None:
    """What the search's folder says, where the file is the structure that it found."""
    beside = file.parent / BEST_JSON
    if file.name != BEST_STRUCTURE or not beside.is_file():
        return None
    found = _of_search(file.parent)
    same = found.description.normalised_structure() == str(PlainNet.read_structure_file(file))
    return found if same else None


def _table(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is no whole JSON ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{file} holds no table of values")
    return values


@functools.lru_cache(maxsize=64)
def _read(path: Path, changed: int, size: int) -> Described | None:
    """The description in a file that is as long and as old as said."""
    if path.suffix == ONNX_SUFFIX:
        return _of_metadata(path, _onnx_metadata(path))
    from ZenNet.state import is_safetensors

    if is_safetensors(path):
        return _of_metadata(path, _safetensors_metadata(path))
    if (texts := torchscript_texts(path)) is not None:
        return _of_metadata(path, texts)
    return _of_checkpoint(path)


def _of_metadata(path: Path, values: Mapping[str, str]) -> Described | None:
    if KEY not in values:
        return None
    return Described(NetworkDescription.from_json(values[KEY]), path, path)


def _onnx_metadata(path: Path) -> dict[str, str]:
    try:
        import onnx
    except ImportError as error:
        raise InputError(f"{path} needs a library that is not installed (onnx): pip install it") from error
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise InputError(f"{path} is torn or no ONNX file: put a whole copy in its place") from error
    return {entry.key: entry.value for entry in model.metadata_props}


def _safetensors_metadata(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path} is torn or no safetensors file ({error}); put a whole copy in its place") from error


def torchscript_texts(path: Path) -> dict[str, str] | None:
    """What a TorchScript archive says of its network, by name: nothing where it is of others; None for other files."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if not any(name.endswith("/constants.pkl") for name in names):
            return None
        extra = next((name for name in names if name.endswith(f"/extra/{KEY}")), None)
        return {} if extra is None else {KEY: archive.read(extra).decode()}


def _of_checkpoint(path: Path) -> Described | None:
    from ZenNet.files import foreign
    from ZenNet.unpickling import load_plain

    if foreign(path) is not None:
        return None
    content = load_plain(path)
    if not isinstance(content, dict):
        return None
    if KEY in content and isinstance(content[KEY], Mapping):
        data = content.get("data_dir")
        return Described(NetworkDescription.from_dict(content[KEY]), path, path, Path(data) if data else None)
    if "detector" in content and "preprocessing" in content:
        raise InputError(
            f"{path} holds a detector: programs read it by gsnet.Detector and gsnet.export, and the commands val_detection, "
            "analyze_model and export take it"
        )
    return None
