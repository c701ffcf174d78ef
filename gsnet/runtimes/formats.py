"""Formats of exported files, and the runtime of each: it writes them, and then runs them to compare outputs."""

from __future__ import annotations

from gsnet.runtimes.registry import way_of_rewriting
from gsnet.runtimes.rewriting import AS_IT_IS

FORMATS = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "ncnn": "ncnn",
    "opencv": "opencv",
    "executorch": "executorch",
    "litert": "litert",
    "torchscript": "torch",
}


def rewrites(form: str) -> bool:
    """Whether networks are rewritten for files of a format (`gsnet.runtimes.fusing`); weights alone never are."""
    return form in FORMATS and way_of_rewriting(FORMATS[form]) != AS_IT_IS
