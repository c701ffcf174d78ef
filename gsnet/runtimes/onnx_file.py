"""ONNX files, which several runtimes read."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from torch import nn

from gsnet.runtimes.contract import NO_TEXTS, Runtime, Texts

# Of a file's metadata: what it computes in, where that is not float32.
PRECISION = "gsnet.precision"
# Of a free side, which torch wants bounded.
_MOST_BLOCKS = 4096
# At least so many blocks a free side has in the image that is traced.
_TRACED_BLOCKS = 8
WRITES_WITH = MappingProxyType({"onnx": "onnx", "onnxscript": "onnxscript"})


def write_onnx(
    network: nn.Module, file: Path, size: tuple[int, int], output: str = "logits", multiple: int | None = None
) -> None:
    """Write a network in evaluation mode; input "images" (N, 3, *size) with N free.

    multiple: with it height and width are free too, multiples of so many pixels; `size` is one that the network can have.
    Raises RuntimeError.
    """
    for library in ("onnxscript", "onnx_ir"):
        # They report every graph rewriting, several lines a layer.
        logging.getLogger(library).setLevel(logging.WARNING)
    # torch.export takes a batch of one for a special case; the file is then compared with the network for one image too.
    free = {0: torch.export.Dim("batch", min=2)}
    if multiple is not None:
        rows, columns = (torch.export.Dim(name, min=1, max=_MOST_BLOCKS) for name in ("rows", "columns"))
        free |= {2: multiple * rows, 3: multiple * columns}
        # torch takes a side of one, as the smallest maps of small images have, for a special case as well.
        size = (max(size[0], _TRACED_BLOCKS * multiple), max(size[1], _TRACED_BLOCKS * multiple))
    try:
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, *size),),
            str(file),
            input_names=["images"],
            output_names=[output],
            dynamo=True,
            dynamic_shapes=(free,),
            external_data=False,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        # It says at which step it failed, and how one might find out why; what it failed by says why.
        raise RuntimeError(str(error.__cause__ or error)) from error
    _forget_the_export(file)


def _forget_the_export(file: Path) -> None:
    """Take out what torch notes of each node: the Python code that it comes from, with this computer's paths, and the
    names and shapes of what lies between. Of a small network that is as long as its weights."""
    import onnx

    model = onnx.load(file)
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    file.write_bytes(model.SerializeToString())


def write_fixed_onnx(network: nn.Module, file: Path, size: tuple[int, int], batch: int) -> None:
    """Write a network in evaluation mode for `batch` images alone, by torch's tracer: a tenth of `write_onnx`'s time.

    With a fixed number of images the tracer computes shapes itself, and runtimes get the operators of `write_onnx`.
    """
    with warnings.catch_warnings():
        # It recommends the way of `write_onnx`, and says of ONNX's constants that they were folded.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(batch, 3, *size),),
            str(file),
            input_names=["images"],
            output_names=["logits"],
            dynamo=False,
        )


def to_half(file: Path) -> None:
    """Change a file to float16 inside; what goes in and out stays float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(file), keep_io_types=True)
    onnx.save(model, file)
    add_texts(file, {PRECISION: "fp16"})


def add_texts(file: Path, texts: Mapping[str, str]) -> None:
    """Add texts by name to a file's metadata."""
    import onnx

    model = onnx.load(file)
    onnx.helper.set_model_props(model, {one.key: one.value for one in model.metadata_props} | dict(texts))
    file.write_bytes(model.SerializeToString())


class OnnxFiles(Runtime):
    """What runtimes share that load ONNX files, input "images"."""

    writes_with = WRITES_WITH
    suffixes = (".onnx",)

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        write_onnx(network, file, size, output)
        if half:
            to_half(file)
        if texts:
            add_texts(file, texts)

    def write_to_time(self, network: nn.Module, file: Path, size: tuple[int, int], batch: int) -> None:
        write_fixed_onnx(network, file, size, batch)
