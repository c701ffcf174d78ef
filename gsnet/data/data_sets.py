"""Data sets on disk."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.utils.data import Dataset
from torchvision import datasets
from torchvision.transforms import v2

from gsnet.data.class_folder import ClassFolder, folder_of_network, training_classes
from gsnet.data.own_reader import OwnImages
from gsnet.data.pictures import decoded, decoded_later
from gsnet.data.settings import DataSettings
from gsnet.data.sharded import ShardedPictures, shards_in
from gsnet.data.transforms import training_transform, validation_transform
from gsnet.interface.options import InputError

TRAINING, VALIDATION = ("train",), ("val", "test")
_CIFAR = {
    "cifar10": (datasets.CIFAR10, "cifar-10-batches-py"),
    "cifar100": (datasets.CIFAR100, "cifar-100-python"),
}
# Folders in which torchvision keeps images that are no files.
CIFAR_FOLDERS = tuple(folder for _, folder in _CIFAR.values())


def data_set(
    settings: DataSettings,
    train: bool,
    transform: v2.Transform | None = None,
    known: Sequence[str] = (),
) -> Dataset[tuple[Tensor, int]]:
    """The training or the validation images of a data set: tensors (3, side, side) and labels from 0.

    transform: from a PIL image to a tensor, instead of the preparation that the settings describe. known: the names of a
    network's classes, in its order, where it says them: images to validate on count as they do there.

    A folder with train/CLASS/IMAGE and val/CLASS/IMAGE (or test/…) will do for every name but fake; the classes of train
    count in alphabetical order, and those of val as they do there. train and val may hold tar archives instead, see
    `gsnet.data.sharded`. For cifar10 and cifar100 torchvision's files are read
    too. Raises InputError, which says what was looked for and where.
    """
    if transform is None:
        transform = training_transform(settings) if train else validation_transform(settings)
    if settings.kind.read is not None:
        classes = min(filter(None, (settings.network_classes, settings.kind.classes)), default=0)
        return OwnImages(settings.dataset, settings.kind.read, (settings, train, transform), classes)
    if settings.dataset == "fake":
        return _noise(settings, train, transform)
    folder, splits = settings.folder, TRAINING if train else VALIDATION
    decoder = decoded_later if train and settings.reduced_decoding else decoded
    split = next((folder / name for name in splits if (folder / name).is_dir()), None)
    if split is not None and shards_in(split):
        names = None if train else (known or training_classes(folder))
        return ShardedPictures(split, transform, names, decoder)
    if split is not None and known and not train:
        return folder_of_network(split, transform, known)
    if split is not None:
        return ClassFolder(split, transform, None if train else training_classes(folder), decoder=decoder)
    if settings.dataset in _CIFAR:
        return _cifar(settings, train, transform)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: --data_dir takes one with {splits[0]}/CLASS/IMAGE")
    raise InputError(f"{folder} has no folder {' or '.join(splits)}: --data_dir takes one with {splits[0]}/CLASS/IMAGE")


def _noise(settings: DataSettings, train: bool, transform: v2.Transform) -> Dataset[tuple[Tensor, int]]:
    shape = (3, settings.side, settings.side)
    offset = 0 if train else settings.fake_images
    return datasets.FakeData(settings.fake_images, shape, settings.fake_classes, transform, random_offset=offset)


def _cifar(settings: DataSettings, train: bool, transform: v2.Transform) -> Dataset[tuple[Tensor, int]]:
    kind, inside = _CIFAR[settings.dataset]
    try:
        return kind(settings.folder, train=train, transform=transform, download=settings.download)
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"{settings.folder} holds neither a whole {inside} nor {'train' if train else 'test'}/CLASS/IMAGE: "
            "name the folder with --data_dir, or use --download"
        ) from error
