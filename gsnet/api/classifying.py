"""A trained classifier, asked about images."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from gsnet.api.exported_classifier import is_exported, load_exported
from gsnet.api.loading import LoadedNetwork
from gsnet.api.naming import arch_of, is_module, path_of, said_in_python
from gsnet.api.pictures import check_is_several, pixels_of
from gsnet.api.trained import TrainingResult
from gsnet.data.pictures import read_picture
from gsnet.interface.options import InputError, device_name, named_few
from gsnet.interface.values import check_counts
from gsnet.models import ExpectedInput, expected_input, load_model, source_of
from gsnet.models.expected import at_side, centre_crop, classes_text, of_description, size_text
from gsnet.models.module_costs import width_of
from gsnet.validation.class_names import class_names as usual_names
from gsnet.validation.class_names import data_set_in
from gsnet.validation.images import transform
from gsnet.validation.mirrored import Mirrored
from gsnet.validation.predict import probabilities
from ZenNet.files import NoWeightsError

if TYPE_CHECKING:
    from PIL.Image import Image

# Options of scripts that have other names here.
_KEYWORDS = {"arch": "path"}


# Of arrays: equal where it is the same.
@dataclass(frozen=True, eq=False)
class Classification:
    """What is in an image. probabilities: (K,), the softmax of the network's logits, in the order of class_names."""

    probabilities: np.ndarray
    class_names: tuple[str, ...]

    def __repr__(self) -> str:
        found = ", ".join(f"{one['name']} {one['probability']:.1%}" for one in self.top(3))
        return f"Classification({found})"

    @property
    def label(self) -> int:
        """The likeliest class, its place in class_names."""
        return int(self.probabilities.argmax())

    @property
    def name(self) -> str:
        """The same by its name."""
        return self.class_names[self.label]

    @property
    def probability(self) -> float:
        """How likely the network says that class is."""
        return float(self.probabilities.max())

    def top(self, count: int = 5) -> list[dict[str, Any]]:
        """The likeliest classes, the likeliest first, as JSON takes them: label, name and probability. Raises InputError."""
        check_counts(count=count)
        order = np.argsort(-self.probabilities, kind="stable")[:count].tolist()
        return [{"label": i, "name": self.class_names[i], "probability": float(self.probabilities[i])} for i in order]


class Classifier:
    """A classifier with weights, ready for images.

    classifier = gsnet.Classifier.load("save_dir/training")
    classifier("cat.jpg").name
    """

    def __init__(
        self, network: nn.Module, expected: ExpectedInput, class_names: Sequence[str], device: str = "cpu"
    ) -> None:
        """network: images (N, 3, resolution, resolution) to logits (N, K). expected: how images reach it."""
        self._network = network.eval().to(device)
        self._prepare = transform(expected)
        self._device = device
        self.expected = expected
        self.class_names = tuple(class_names)

    def __repr__(self) -> str:
        side = self.expected.resolution
        names = f"{classes_text(len(self.class_names))} ({named_few(self.class_names)})"
        return f"Classifier({names}, input {side} x {side}, on {self._device})"

    @classmethod
    def load(
        cls,
        path: str | Path | TrainingResult | LoadedNetwork | nn.Module | type,
        *,
        weights: str | Path | TrainingResult | LoadedNetwork | None = None,
        device: str | None = None,
        class_names: Sequence[str] | None = None,
        resolution: int | None = None,
        flip: bool = False,
    ) -> Classifier:
        """The classifier of a training or its folder, a checkpoint, a file that gsnet export wrote, or a published name.

        A torch module must be told its resolution, stays as it is, and sees images as `gsnet.validate` shows them to it.

        An exported file is run by its runtime (ONNX Runtime, OpenVINO, ncnn, ExecuTorch, LiteRT, torch for TorchScript).
        weights: a checkpoint of the network that `path` names, where it holds none itself. device: name of torch's, the CPU by
        default. class_names: in the order of the logits, for a network that does not say them. resolution: side in
        pixels, instead of the trained one. flip: the mean of what it says of an image and of its mirror image. Raises
        InputError.
        """
        own_module = is_module(path)
        if isinstance(path, type):
            path = arch_of(path)
        _check("a module" if own_module else path_of(path), class_names, resolution)
        if own_module:
            return cls._of_module(path, weights, device, class_names, resolution, flip)  # type: ignore[arg-type]
        arch, own = str(path_of(path)), None if weights is None else str(path_of(weights))
        with _in_words_of_python():
            if is_exported(arch):
                return cls._exported(arch, own, device, class_names, resolution, flip)
            return cls._loaded(arch, own, device, class_names, resolution, flip)

    @classmethod
    def _exported(
        cls,
        path: str,
        weights: str | None,
        device: str | None,
        class_names: Sequence[str] | None,
        side: int | None,
        flip: bool,
    ) -> Classifier:
        if weights is not None:
            raise InputError(f"{path} holds its own weights: leave weights out")
        place = device_name(None, device)
        network, description = load_exported(path, place)
        if side not in (None, description.resolution):
            raise InputError(
                f"{path} was written for images of {size_text(description.resolution)}: leave resolution out"
            )
        names = list(description.class_names) if class_names is None else list(class_names)
        names = names or _usual_names(path, description.classes, description.dataset)
        if len(names) != description.classes:
            raise InputError(f"class_names has {len(names)} names, and {path} has {classes_text(description.classes)}")
        return cls(Mirrored(network) if flip else network, of_description(description), names, place)

    @classmethod
    def _loaded(
        cls,
        arch: str,
        weights: str | None,
        device: str | None,
        class_names: Sequence[str] | None,
        side: int | None,
        flip: bool,
    ) -> Classifier:
        expected = expected_input(arch, weights)
        if side not in (None, expected.resolution):
            expected = at_side(expected, side)
        network = load_model(arch, pretrained=weights is None, weights=weights)
        classes = width_of(network, expected.resolution)
        names = _names(arch, weights, classes) if class_names is None else list(class_names)
        if len(names) != classes:
            raise InputError(f"class_names has {len(names)} names, and {arch} has {classes_text(classes)}")
        asked = Mirrored(network) if flip else network
        return cls(asked, replace(expected, classes=classes), names, device_name(None, device))

    @classmethod
    def _of_module(
        cls,
        module: nn.Module,
        weights: object,
        device: str | None,
        class_names: Sequence[str] | None,
        side: int | None,
        flip: bool,
    ) -> Classifier:
        if weights is not None:
            raise InputError("A module holds its own weights: leave weights out")
        if side is None:
            raise InputError("A module does not say which images it takes: give resolution")
        network = copy.deepcopy(module).cpu().float()
        classes = width_of(network, side)
        names = [f"class {i}" for i in range(classes)] if class_names is None else list(class_names)
        if len(names) != classes:
            raise InputError(f"class_names has {len(names)} names, and the module {classes_text(classes)}")
        asked = Mirrored(network) if flip else network
        return cls(asked, centre_crop(side, None, classes), names, device_name(None, device))

    def __call__(self, image: str | Path | np.ndarray | Image) -> Classification:
        """What is in an image: a file, an array (H, W, 3) uint8 of RGB, or a picture of Pillow's. Raises InputError."""
        return next(self.each([image]))

    def each(self, images: Iterable[str | Path | np.ndarray | Image], batch_size: int = 32) -> Iterator[Classification]:
        """The same of one image after the other, of which so many are looked at together. Raises InputError."""
        if not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"batch_size is {batch_size!r}: at least one image is looked at together")
        check_is_several(images)
        left = iter(images)
        while batch := list(itertools.islice(left, batch_size)):
            ready = torch.stack([self._prepare(_picture(image)) for image in batch])
            for chances in probabilities(self._network, ready, self.expected).numpy():
                yield Classification(chances, self.class_names)


def _check(path: object, class_names: object, resolution: int | None) -> None:
    """Raise InputError for what is none of the kinds that `Classifier.load` takes."""
    if not isinstance(path, str | Path) or not str(path).strip() or path == Path():
        raise InputError(
            f"path is {path!r:.60}: it must be that of a results folder, a checkpoint or an exported file, or a name"
        )
    if isinstance(class_names, str):
        raise InputError(f"class_names is {class_names!r}: it must be a sequence of names")
    if resolution is not None:
        check_counts(resolution=resolution)


@contextmanager
def _in_words_of_python() -> Iterator[None]:
    """Errors name the keywords of `Classifier.load` in place of a script's options."""
    with said_in_python(_KEYWORDS):
        try:
            yield
        except NoWeightsError as error:
            raise InputError(error.told("weights")) from error


def _picture(image: str | Path | np.ndarray | Image) -> Image:
    from PIL import Image

    if isinstance(image, str | Path):
        return read_picture(Path(image).expanduser())
    return Image.fromarray(pixels_of(image))


def _names(arch: str, weights: str | None, classes: int) -> list[str]:
    """The network's own, else those of the data set that it is known to be of. Raises InputError."""
    found = source_of(arch, weights)
    own = found.description.class_names if found else ()
    if len(own) == classes:
        return list(own)
    return _usual_names(arch, classes, found.description.dataset if found else None)


def _usual_names(arch: str, classes: int, dataset: str | None) -> list[str]:
    return usual_names(classes, dataset=dataset or data_set_in(arch) or "imagenet")
