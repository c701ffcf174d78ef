"""Images by the name of their data set, prepared for training and for validation.

settings = DataSettings("cifar10", Path("~/data/cifar10"), batch_size=128, workers=2, input_image_size=32)
for images, labels in training_loader(settings): ...

Importing this room needs no torch.
"""

from typing import TYPE_CHECKING

from gsnet.data.settings import DATASETS, DataSettings, data_set_name, register_data_set
from gsnet.interface.lazily import lazily

if TYPE_CHECKING:
    from gsnet.data.data_sets import data_set
    from gsnet.data.loaders import training_loader, validation_loader

__all__ = [
    "DATASETS",
    "DataSettings",
    "data_set",
    "data_set_name",
    "register_data_set",
    "training_loader",
    "validation_loader",
]
_MODULES = {"data_set": "data_sets", "training_loader": "loaders", "validation_loader": "loaders"}
__getattr__ = lazily(__name__, _MODULES)
