"""What lies in a path: the result of a search, or a network that says of itself what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import PlainNet
from gsnet.api.trained import TrainingResult
from gsnet.evolution.result import SearchResult
from gsnet.evolution.result import load as load_search
from gsnet.interface.description import NetworkDescription
from gsnet.interface.network_names import is_structure
from gsnet.interface.options import InputError
from gsnet.interface.result_files import DATABASE
from gsnet.models import expected_input, load_model
from gsnet.models.described import checkpoint_in, described
from gsnet.models.expected import ExpectedInput
from PlainNet import Network

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LoadedNetwork:
    """A network of a training's folder, a checkpoint or an exported file.

    description: all that it says of itself (resolution, classes and their names, accuracy, …). file: where it lies. folder: of
    the training that it was loaded from; None where that was a file.
    """

    description: NetworkDescription
    file: Path
    folder: Path | None = None

    @property
    def network(self) -> Network | None:
        """Its structure as a value; None where it has none, as torchvision's."""
        structure = self.description.structure
        return None if structure is None else PlainNet.parse(structure)

    @property
    def expected(self) -> ExpectedInput:
        """How test images reach it."""
        return expected_input(str(self.file))

    def module(self) -> nn.Module:
        """With its weights, on the CPU in evaluation mode: images (N, 3, H, W) to logits (N, classes). Raises InputError."""
        return load_model(str(self.file), pretrained=True).eval()


def load(path: str | Path | TrainingResult) -> SearchResult | LoadedNetwork:
    """What a path, or a training, holds.

    The folder of a search, or its database: what it found, finished or not, also while it goes on. The folder of a training, a
    checkpoint, an ONNX, safetensors or TorchScript file: a `LoadedNetwork`. Raises InputError, of
    searches its kind SearchError.
    """
    if isinstance(path, TrainingResult) and path.folder is not None:
        path = path.folder
    if not isinstance(path, str | Path):
        raise InputError(f"path is {path!r:.60}: it must be that of a results folder, a checkpoint or an exported file")
    if isinstance(path, str) and is_structure(path):
        shown = path if len(path) <= 60 else f"{path[:60]}…"
        raise InputError(f"{shown} is a structure, which gsnet.parse takes: a results folder or a file was expected")
    if not str(path).strip():
        raise InputError("path is empty: that of a results folder, a checkpoint or an exported file was expected")
    given = Path(path).expanduser()
    searched = given.is_dir() or not (given.suffix or given.exists())
    if given.name == DATABASE or (searched and checkpoint_in(given) is None):
        return load_search(given)
    if not given.exists():
        raise InputError(f"There is no file or folder {given}")
    found = described(given)
    if found is None or found.weights is None:
        raise InputError(
            f"{given} does not say what it is of: a results folder, checkpoint or exported file was expected"
            + (", and gsnet.parse takes structure files" if given.suffix == ".txt" else "")
        )
    return LoadedNetwork(found.description, found.weights, given if given.is_dir() else None)
