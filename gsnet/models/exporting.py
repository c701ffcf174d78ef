"""Networks as files of other programs, kept only where they compute the same."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from gsnet.interface.options import InputError

# float32 through another library's kernels: relative to the largest logit.
_TOLERANCE = 1e-4
_BATCHES = (1, 3)
Texts = dict[str, str]


class ExportError(InputError):
    """A network that could not be written so that it computes the same."""


def export(
    network: nn.Module,
    file: Path,
    kind: str,
    size: tuple[int, int],
    output: str = "logits",
    groups: Sequence[slice] = (slice(None),),
    metadata: Mapping[str, str] | None = None,
) -> float:
    """Write a network (put into evaluation mode); returns the largest difference of an output, relative to the largest.

    kind: "onnx" (batch size is free), "torchscript" or "safetensors" (weights alone). Images are (N, 3, *size). output: the
    name of the one output in ONNX; groups: parts of its last axis that are compared each by its own largest value. metadata:
    texts by name that the file holds too (ONNX's metadata_props, TorchScript's extra files, the header of safetensors). Nothing
    is left at `file` unless outputs agree to 1e-4 for batches of 1 and 3. Raises ExportError, or ImportError's sentence as
    InputError where a library is missing.
    """
    network = network.eval().cpu().float()
    part = file.with_name(f".{file.name}.part")
    texts = dict(metadata or {})
    ways: dict[
        str,
        tuple[Callable[[nn.Module, Path, tuple[int, int], Texts], None], Callable[[nn.Module, Path], Callable]],
    ] = {
        "onnx": (partial(_write_onnx, output=output), _read_onnx),
        "torchscript": (_write_torchscript, _read_torchscript),
        "safetensors": (_write_safetensors, _read_safetensors),
    }
    write, read = ways[kind]
    try:
        write(network, part, size, texts)
        difference = _difference(network, read(network, part), size, groups)
        if not difference <= _TOLERANCE:
            raise ExportError(f"{kind} computes other outputs, off by {difference:.2g} of the largest: nothing is kept")
        part.replace(file)
    except ImportError as error:
        raise InputError(
            f"--format {kind} needs a library that is not installed ({error.name}): pip install it"
        ) from error
    except RuntimeError as error:
        reason = str(error).strip().split("\n")[0]
        raise ExportError(f"The network cannot be written as {kind} ({reason}): nothing is kept") from error
    finally:
        part.unlink(missing_ok=True)
    return difference


@torch.inference_mode()
def _difference(
    network: nn.Module, other: Callable[[Tensor], Tensor], size: tuple[int, int], groups: Sequence[slice]
) -> float:
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for batch in _BATCHES:
        images = torch.randn(batch, 3, *size, generator=generator)
        expected, found = network(images), other(images)
        for group in groups:
            largest = expected[..., group].abs().max().clamp(min=1e-12)
            difference = (found[..., group] - expected[..., group]).abs().max() / largest
            # A comparison with NaN is false in max(), and would hide it.
            worst = float("nan") if difference.isnan() else max(worst, float(difference))
    return worst


def _write_onnx(network: nn.Module, file: Path, size: tuple[int, int], metadata: Texts, output: str) -> None:
    import onnx
    import onnxruntime  # noqa: F401
    import onnxscript  # noqa: F401

    for library in ("onnxscript", "onnx_ir"):
        # They report every graph rewriting, several lines a layer.
        logging.getLogger(library).setLevel(logging.WARNING)
    image = torch.zeros(2, 3, *size)
    # torch.export takes a batch of one for a special case; the file is then compared with the network for one image too.
    batch = {0: torch.export.Dim("batch", min=2)}
    torch.onnx.export(
        network,
        (image,),
        str(file),
        input_names=["images"],
        output_names=[output],
        dynamo=True,
        dynamic_shapes=(batch,),
        external_data=False,
        verbose=False,
    )
    if metadata:
        model = onnx.load(str(file))
        onnx.helper.set_model_props(model, metadata)
        file.write_bytes(model.SerializeToString())


def _read_onnx(network: nn.Module, file: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def _write_torchscript(network: nn.Module, file: Path, size: tuple[int, int], metadata: Texts) -> None:
    with torch.inference_mode():
        traced = torch.jit.trace(network, torch.zeros(2, 3, *size))
    torch.jit.save(traced, str(file), _extra_files={name: text.encode() for name, text in metadata.items()})


def _read_torchscript(network: nn.Module, file: Path) -> Callable[[Tensor], Tensor]:
    return torch.jit.load(str(file), map_location="cpu").eval()


def _write_safetensors(network: nn.Module, file: Path, size: tuple[int, int], metadata: Texts) -> None:
    from safetensors.torch import save_file

    state = {key: value.contiguous().clone() for key, value in network.state_dict().items()}
    # What writes and reads safetensors elsewhere looks for the format of the tensors.
    save_file(state, file, {"format": "pt"} | metadata)


def _read_safetensors(network: nn.Module, file: Path) -> Callable[[Tensor], Tensor]:
    from safetensors.torch import load_file

    other = copy.deepcopy(network)
    for value in other.state_dict().values():
        value.zero_()
    other.load_state_dict(load_file(file), strict=True)
    return other
