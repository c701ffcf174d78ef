"""What is said of a picture that cannot be read."""

from __future__ import annotations

from pathlib import Path

from gsnet.interface.options import InputError


class BrokenImageError(InputError):
    """A picture that cannot be read; the sentence names its file. file and reason: the parts of it, where they are known."""

    def __init__(self, message: str, file: Path | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.file, self.reason = file, reason
