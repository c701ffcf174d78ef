"""How often a trained network is right on test images that it has not seen."""

from Validation.images import test_images
from Validation.measure import Result, loader, validate

__all__ = ["Result", "loader", "test_images", "validate"]
