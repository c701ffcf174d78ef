"""An exported ONNX file in the place of a module, so that it is validated as what it was made from is."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from gsnet.interface.options import InputError
from gsnet.interface.words import first_line


class OnnxNetwork(nn.Module):
    """Images (N, 3, H, W) to logits (N, classes), computed by onnxruntime on the processor in float32.

    Its weights are inside the file, normalisation folded into convolutions: there is no state to take or to train. Raises
    InputError.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(f"{file} needs a library that is not installed (onnxruntime): pip install it") from error
        try:
            self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        except RuntimeError as error:
            raise InputError(f"{file} cannot be run ({first_line(error)})") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise InputError(f"{file} takes other inputs than one batch of images")
        self._input, self._shape = inputs[0].name, inputs[0].shape

    def forward(self, images: Tensor) -> Tensor:
        # What is free has a name, and no number.
        if any(isinstance(own, int) and own != given for own, given in zip(self._shape, images.shape, strict=True)):
            # The library says it in several lines.
            own = " x ".join(str(size) if isinstance(size, int) else "N" for size in self._shape)
            given = " x ".join(map(str, images.shape))
            raise cannot_run(self.file, images, InputError(f"it takes batches of {own} numbers, not {given}"))
        try:
            found = self._session.run(None, {self._input: images.detach().cpu().float().numpy()})[0]
        # The library's errors have no base of their own.
        except Exception as error:
            raise cannot_run(self.file, images, error) from error
        return torch.from_numpy(found).to(images.device)


def cannot_run(file: Path, images: Tensor, error: Exception) -> InputError:
    """What an exported file says of images (N, channels, H, W) on which its library failed."""
    seen = f"{images.shape[1]} channels and {images.shape[2]} x {images.shape[3]} pixels"
    return InputError(f"{file} cannot run on images of {seen} ({first_line(error)})")
