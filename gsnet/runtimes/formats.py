"""Formats of exported files, and the runtime of each: it writes them, and then runs them to compare outputs."""

from __future__ import annotations

from gsnet.runtimes.registry import registered_for, way_of_rewriting
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

# Suffix of an exported file -> the runtimes that read it, the one that it is exported for first.
_READERS = {
    ".onnx": ("onnxruntime", "opencv", "openvino"),
    ".xml": ("openvino",),
    ".param": ("ncnn",),
    ".pte": ("executorch",),
    ".tflite": ("litert",),
    ".pt": ("torch",),
}


def readers(suffix: str) -> tuple[str, ...]:
    """The runtimes that read files of a suffix, those of one's own behind the package's; none for other files."""
    return (*_READERS.get(suffix, ()), *registered_for(suffix))


def rewrites(form: str) -> bool:
    """Whether networks are rewritten for files of a format (`gsnet.runtimes.fusing`); weights alone never are."""
    return form in FORMATS and way_of_rewriting(FORMATS[form]) != AS_IT_IS
