"""A network for other programs, from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from gsnet.api.loading import LoadedNetwork
from gsnet.api.naming import (
    Named,
    arch_of,
    check_names,
    check_switches,
    is_module,
    keywords_of,
    path_of,
    said_in_python,
)
from gsnet.api.trained import TrainingResult
from gsnet.data.name_options import distinct
from gsnet.detection.export_either import add_export_options, check_export_options, exported
from gsnet.interface.options import InputError
from gsnet.interface.script_options import script_parser
from gsnet.validation.export_command import OfModule, write_module

if TYPE_CHECKING:
    from torch import nn


class ExportOptions(TypedDict, total=False):
    """What else an export may be told, as `gsnet export --help` has it.

    untrained: with random weights. use_se, unit ("searched", "deployed"), plainnet_struct: how a structure is built.
    weights_url: mirror of published weights. folder: with format "safetensors", all that timm's local-dir: reads; license: of
    these weights. top1_loss, ap_loss (points), output_error: what int8 may cost.

    Of torch modules alone: class_names, in the order of the logits; mean and std of pixels in [0, 1] by channel.

    Of detectors alone: decode, nms (with score_threshold, nms_threshold, max_detections), dynamic, input_image_height.
    """

    untrained: bool
    use_se: bool
    unit: str | None
    plainnet_struct: str | None
    weights_url: str | None
    folder: str | Path | None
    license: str
    top1_loss: float | None
    ap_loss: float | None
    output_error: float | None
    decode: bool
    nms: bool
    score_threshold: float | None
    nms_threshold: float | None
    max_detections: int | None
    dynamic: bool
    input_image_height: int | None
    class_names: Sequence[str] | None
    mean: Sequence[float] | None
    std: Sequence[float] | None


class _Switches(ExportOptions, total=False):
    half: bool
    fuse: bool
    int8: bool


# What the command line calls otherwise.
RENAMED = {
    "arch": "network",
    "output": "file",
    "input_image_size": "resolution",
    "fp16": "half=True",
    "no_fuse": "fuse=False",
}
# What is said of modules: all other networks say it themselves.
_SAID_OF_MODULES = ("class_names", "mean", "std")
# What an export of a module reads; a module is all that the other options could say.
_OF_MODULES = (
    *("format", "output", "folder", "license", "input_image_size", "fp16", "no_fuse"),
    *("int8", "calibration", "top1_loss", "output_error"),
)


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    file: what was asked for; files: all that belongs to it, size: their bytes. difference: largest difference of an output to
    torch's, relative to the largest; in int8 the root of the mean square of all, relative to that of the outputs. forms: of
    int8, figures of the float32 file and of the int8 one, which pandas and polars take as a table. input: which images it
    takes, None where that is not known. `print(exported)` says it as the command does.
    """

    file: Path
    files: tuple[Path, ...]
    format: str
    size: int
    difference: float
    forms: tuple[dict[str, Any], ...]
    input: Mapping[str, Any]
    text: str

    def __str__(self) -> str:
        return self.text


def export(
    network: Named | nn.Module | type,
    file: str | Path | None = None,
    *,
    format: str = "onnx",
    resolution: int | None = None,
    num_classes: int | None = None,
    weights: str | Path | LoadedNetwork | TrainingResult | None = None,
    half: bool = False,
    fuse: bool = True,
    int8: bool = False,
    calibration: str | Path | None = None,
    **options: Unpack[ExportOptions],
) -> Exported:
    """Write a network for other programs: the very file that `gsnet export` writes, kept only where it computes the same.

    network: the folder of a training, a checkpoint, what `gsnet.load` gave of them, a published name, a structure, a network or
    a candidate of a search with `weights` of its own, or a torch module, which must be told its resolution and stays as it is.
    A detector's checkpoint is exported as one. file: by default the network's name with what it is for. format: "onnx",
    "openvino", "ncnn", "opencv", "executorch", "litert", "torchscript" or "safetensors". resolution (pixels), num_classes:
    instead of the network's own. half: weights of 16 bits. fuse: rewrite the graph so that it runs faster. int8: integers of 8
    bits, with the folder of pictures `calibration`, of which half decide scales and the others compare. options:
    `ExportOptions`.

    Raises InputError where something is wrong or the file computes something else, TypeError for an option that there is not,
    StructureError.
    """
    check_names("An export", options, ExportOptions.__annotations__, export.__annotations__)
    check_switches({**options, "half": half, "fuse": fuse, "int8": int8}, _Switches)
    given: dict[str, Any] = {
        "output": file,
        "format": format,
        "input_image_size": resolution,
        "num_classes": num_classes,
        "weights": path_of(weights),
        "fp16": half,
        "no_fuse": not fuse,
        "int8": int8,
        "calibration": calibration,
        **options,
    }
    with said_in_python(keywords_of(_Switches, RENAMED)):
        return _result(_written(network, given))


def _written(network: Any, given: dict[str, Any]) -> dict[str, Any]:
    own = is_module(network)
    said = {name: value for name in _SAID_OF_MODULES if (value := given.pop(name, None)) is not None}
    if said and not own:
        raise InputError(
            f"{next(iter(said))} is of torch modules, and {arch_of(network)} is none: leave it out, or give its module"
        )
    if not own:
        given = {"arch": arch_of(network), **given}
    parser = script_parser("", given)
    add_export_options(parser)
    parsed = parser.parse_args(given)
    check_export_options(parser, parsed)
    if own:
        parser.refuse_all_but(parsed, "with a module, which is all that it is", _OF_MODULES)
        return write_module(parsed, network, _of_module(**said))
    (written,) = exported(parsed)
    return written


def _of_module(
    class_names: Sequence[str] = (), mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> OfModule:
    """What is said of a module. Raises InputError where it is nothing of the kind."""
    if isinstance(class_names, str) or not all(isinstance(name, str) for name in class_names):
        raise InputError(f"class_names is {class_names!r:.60}: it must be a sequence of names")
    names = distinct(tuple(class_names), "class_names") if class_names else ()
    return OfModule(names, _channels("mean", mean), _channels("std", std))


def _channels(name: str, values: Sequence[float] | None) -> tuple[float, float, float] | None:
    if values is None:
        return None
    try:
        red, green, blue = map(float, values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {values!r:.60}: it must be three numbers, of red, green and blue") from error
    return red, green, blue


def _result(written: dict[str, Any]) -> Exported:
    forms = tuple(written.pop("forms", ()))
    difference = written.pop("max_difference") if "max_difference" in written else forms[-1]["output_error"]
    file, files, kind = Path(written.pop("file")), tuple(map(Path, written.pop("files"))), written.pop("format")
    size, text = written.pop("bytes"), written.pop("text")
    written.pop("arch", None)
    return Exported(file, files, kind, size, difference, forms, written, text)
