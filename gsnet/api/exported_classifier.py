"""An exported classifier in the place of a module: its runtime runs it, and what it is of stands in the file or beside it."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from gsnet.interface.description import KEY, NetworkDescription
from gsnet.interface.options import InputError
from gsnet.models.described import checkpoint_in, of_file, torchscript_texts
from gsnet.models.expected import classes_text
from gsnet.models.module_costs import as_logits
from gsnet.models.onnx_network import cannot_run
from gsnet.runtimes import Session, Settings, runtime
from gsnet.runtimes.contract import Texts
from gsnet.runtimes.formats import readers

_TORCHSCRIPT = ".pt"
# Suffix -> the runtime of such files. ONNX files are read by gsnet.models, as checkpoints are.
RUNTIMES = MappingProxyType(
    {suffix: readers(suffix)[0] for suffix in (".xml", ".param", ".pte", ".tflite", _TORCHSCRIPT)}
)
# What a file of a detector says of itself.
_OF_DETECTORS = "detector"


class RuntimeNetwork(nn.Module):
    """Images (N, 3, H, W) to logits (N, classes), computed by a session of a runtime. Raises InputError where it cannot."""

    def __init__(self, session: Session, file: Path) -> None:
        super().__init__()
        self.file = file
        self._session = session

    @property
    def texts(self) -> Texts:
        """What the file holds beside the network, by name."""
        return torchscript_texts(self.file) or self._session.texts

    def forward(self, images: Tensor) -> Tensor:
        try:
            found = self._session.run(images.detach().cpu().float().numpy())
        except InputError:
            raise
        # Each library has errors of its own.
        except Exception as error:
            raise cannot_run(self.file, images, error) from error
        return torch.from_numpy(np.ascontiguousarray(found))


def is_exported(path: str | Path) -> bool:
    """Whether a path is of a file that one of these runtimes reads, by its suffix and, of .pt, by its content."""
    file = Path(path).expanduser()
    if file.suffix == _TORCHSCRIPT:
        return file.is_file() and torchscript_texts(file) is not None
    return file.suffix in RUNTIMES


def load_exported(path: str | Path, device: str) -> tuple[RuntimeNetwork, NetworkDescription]:
    """The network of an exported file, and what it is of. Raises InputError where there is no such, or nobody says so.

    Of what has no place for that in its format (ExecuTorch, LiteRT) the checkpoint says it that lies in the file's folder, as
    of the training that it was exported from.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(
            f"There is no file {file}: a results folder, a checkpoint, an exported file or a name was expected"
        )
    settings = Settings(threads=torch.get_num_threads(), device=device)
    network = RuntimeNetwork(runtime(RUNTIMES[file.suffix]).load(file, settings), file)
    description = _said_by(file, network.texts)
    classes = _classes(network, description)
    if classes != description.classes:
        raise InputError(f"{file} has {classes_text(classes)}, and is said to have {description.classes}")
    return network, description


def _classes(network: RuntimeNetwork, description: NetworkDescription) -> int:
    """How many logits it gives for an image. Raises InputError."""
    side = description.resolution
    return as_logits(network(torch.zeros(1, 3, side, side)), who=str(network.file)).shape[1]


def _said_by(file: Path, texts: Texts) -> NetworkDescription:
    """What the file says, or else the checkpoint beside it. Raises InputError."""
    if KEY in texts:
        return NetworkDescription.from_json(texts[KEY])
    if _OF_DETECTORS in texts:
        raise InputError(f"{file} holds a detector: gsnet.Detector takes it")
    beside = checkpoint_in(file.parent)
    found = of_file(beside) if beside is not None else None
    if found is None:
        raise InputError(
            f"{file} does not say how images reach it nor what its classes are: give one that gsnet export writes for "
            "openvino, ncnn, onnx or torchscript, or put it beside the checkpoint that it was made from"
        )
    return found.description
