"""ONNX files in int8: pairs of QuantizeLinear and DequantizeLinear, which runtimes make integer operators of.

Weights have a scale for each channel of output, maps one each, which sample images decide (the least and the largest value).
That is ONNX Runtime's own post-training quantisation (its documentation: "Quantize ONNX models", method QDQ, U8S8).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gsnet.runtimes.onnx_file import PRECISION, add_texts

INT8 = "int8"
_AT_ONCE = 16


class _Samples:
    """Images as ONNX Runtime's calibration asks for them: batches one after the other, and None at the end."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        self._batches: Iterator[dict[str, np.ndarray]] = iter(
            [{name: images[start : start + _AT_ONCE]} for start in range(0, len(images), _AT_ONCE)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch by the input's name."""
        return next(self._batches, None)


def to_int8(file: Path, images: np.ndarray) -> None:
    """Change an ONNX file to int8. images: float32 (N, 3, H, W), prepared as the network expects them."""
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
                _Samples(name, images),
                quant_format=quantization.QuantFormat.QDQ,
                # With QInt8, its default, ONNX Runtime and OpenVINO leave most convolutions in float32 (findings).
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
            )
    finally:
        logging.getLogger().removeFilter(_without_advice)
    add_texts(file, {PRECISION: INT8})


def _without_advice(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return "pre-processing before quantization" not in message and "is out-of-range for weight" not in message
