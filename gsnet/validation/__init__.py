"""How often a trained network is right on test images that it has not seen. Importing this room needs no torch."""

from typing import TYPE_CHECKING

from gsnet.interface.lazily import lazily

if TYPE_CHECKING:
    from gsnet.validation.images import test_images
    from gsnet.validation.measure import Result, loader, validate

__all__ = ["Result", "loader", "test_images", "validate"]
_MODULES = {"Result": "measure", "loader": "measure", "test_images": "images", "validate": "measure"}
__getattr__ = lazily(__name__, _MODULES)
