"""ONNX files in int8: pairs of QuantizeLinear and DequantizeLinear, which runtimes make integer operators of.

Weights have a scale for each channel of output, maps one each, which sample images decide (the least and the largest value).
That is ONNX Runtime's own post-training quantisation (its documentation: "Quantize ONNX models", method QDQ, U8S8).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gsnet.runtimes.onnx_file import PRECISION, add_texts

INT8 = "int8"
_AT_ONCE = 16


class _Samples:
    """Images as ONNX Runtime's calibration asks for them: batches one after the other, and None at the end."""

    def __init__(self, name: str, images: np.ndarray, at_once: int) -> None:
        self._batches: Iterator[dict[str, np.ndarray]] = iter(
            [{name: images[start : start + at_once]} for start in range(0, len(images), at_once)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch by the input's name."""
        return next(self._batches, None)


def to_int8(file: Path, images: np.ndarray, excluded: Sequence[str] = (), at_once: int = _AT_ONCE) -> None:
    """Change an ONNX file to int8. images: float32 (N, 3, H, W), prepared as the network expects them.

    excluded: names of nodes that stay as they are. at_once: images of a pass, 1 for a file that takes one.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    # It recommends what is done here, and says of each batch normalisation that it stays.
    logging.getLogger().addFilter(_without_advice)
    try:
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            prepared = Path(folder) / "prepared.onnx"
            # Its optimisation takes hard-swish apart.
            quant_pre_process(file, prepared, skip_symbolic_shape=True, skip_optimization=True)
            name = onnx.load(prepared).graph.input[0].name
            quantization.quantize_static(
                prepared,
                file,
                _Samples(name, images, at_once),
                quant_format=quantization.QuantFormat.QDQ,
                # With QInt8, its default, ONNX Runtime and OpenVINO leave most convolutions in float32 (findings).
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                nodes_to_exclude=list(excluded),
            )
    finally:
        logging.getLogger().removeFilter(_without_advice)
    add_texts(file, {PRECISION: INT8})


def behind_convolutions(file: Path) -> list[str]:
    """Names of an ONNX file's nodes behind its last convolutions: what makes boxes and scores of their outputs.

    Coordinates and scores have ranges that one scale of 8 bits cannot hold.
    """
    import onnx

    nodes = onnx.load(file).graph.node
    needed: set[str] = set()
    # From the end, so that what a convolution needs is known before the node that makes it.
    for node in reversed(nodes):
        if node.op_type == "Conv" or needed.intersection(node.output):
            needed.update(node.input)
    return [node.name for node in nodes if node.op_type != "Conv" and not needed.intersection(node.output)]


def _without_advice(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return "pre-processing before quantization" not in message and "is out-of-range for weight" not in message
