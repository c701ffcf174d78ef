"""The published detector, and any other by the name or structure of its backbone. No torch needed."""

from __future__ import annotations

import PlainNet
import ZenNet
from gsnet.detection.settings import DetectorSettings
from gsnet.interface.network_names import holds_structure
from gsnet.interface.options import InputError
from gsnet.models.described import described, is_known_name
from gsnet.models.named import is_several, read_structure

GSNET_DETECTOR = "gsnet_detector"
GSMODEL_L = "gsmodel_l"


def structure_of(arch: str) -> str:
    """The structure string that --arch means: gsnet_detector's, a published network's, a file's or results folder's, or itself.

    Raises InputError, StructureError.
    """
    if arch == GSNET_DETECTOR:
        arch = GSMODEL_L
    if arch in ZenNet.list_models():
        return str(PlainNet.parse(ZenNet.published(arch).structure))
    if (found := described(arch)) and found.description.structure is not None:
        return str(PlainNet.parse(found.description.structure))
    if is_several(arch):
        raise InputError(f"--arch {arch} names several networks, and one is wanted here")
    if ".py:" in arch or is_known_name(arch):
        raise InputError(
            f"--arch {arch} has no structure, by which the detector finds its maps: give {GSNET_DETECTOR}, a name of ZenNet, "
            "a results folder, a checkpoint, a structure file (.txt) or a structure string"
        )
    if not holds_structure(arch):
        near = ZenNet.UnknownNetworkError
        try:
            ZenNet.published(arch)
        except near as error:
            raise InputError(
                f"{error}; --arch also takes {GSNET_DETECTOR}, a results folder, a checkpoint and a structure file (.txt)"
            ) from error
    return str(read_structure(arch))


def published_settings(classes: tuple[str, ...]) -> DetectorSettings:
    """The published configuration: GSmodel-L in its deployed unit, neck and head of 128 channels, four levels."""
    return DetectorSettings(structure_of(GSNET_DETECTOR), classes)
