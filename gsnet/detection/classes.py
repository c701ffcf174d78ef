"""Classes of a data set: told apart, matched by name with another set's, and chosen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gsnet.data.name_options import comma_hint
from gsnet.detection.scene import ImageResults, SceneSet
from gsnet.interface.options import InputError, named_few

_LOG = logging.getLogger(__name__)


def distinct_names(names: Sequence[str], ids: Sequence[int], source: Path) -> tuple[str, ...]:
    """Class names of which none occurs twice: a repeated one gets its id, as in "car (7)", and the log says so."""
    found: list[str] = []
    for name, number in zip(names, ids, strict=True):
        if name in found:
            _LOG.warning(
                "%s: the class name %r is given twice; class %d is called %s (%d)", source, name, number, name, number
            )
            name = f"{name} ({number})"
        found.append(name)
    return tuple(found)


def aligned(data: SceneSet, like: SceneSet, source: Path) -> SceneSet:
    """A data set with the classes of another one in their order, matched by name; classes that it lacks have no objects.

    Raises InputError where it has objects of a class that the other one does not know, and names the class.
    """
    if data.class_names == like.class_names:
        return data
    places = np.array([like.class_names.index(n) if n in like.class_names else -1 for n in data.class_names] or [-1])
    unknown = {int(label) for scene in data.scenes for label in np.unique(scene.labels) if places[label] < 0}
    if unknown:
        names = ", ".join(data.class_names[label] for label in sorted(unknown))
        raise InputError(
            f"{source} has objects of classes that training does not know: {names}. It knows {', '.join(like.class_names)}"
        )
    scenes = tuple(replace(scene, labels=places[scene.labels]) for scene in data.scenes)
    return replace(data, class_names=like.class_names, category_ids=_ids(data, like), scenes=scenes)


def of_classes(data: SceneSet, names: Sequence[str], source: Path) -> SceneSet:
    """A data set with these classes alone, in its own order; objects of the others are no objects.

    Raises InputError for a name that it does not have, and names those that it has.
    """
    unknown = [name for name in names if name not in data.class_names]
    if unknown:
        raise InputError(
            f"{source} has no class {named_few(unknown)}: it has {', '.join(data.class_names)}{comma_hint(data.class_names)}"
        )
    kept = [label for label, name in enumerate(data.class_names) if name in names]
    places = np.full(len(data.class_names) + 1, -1)
    places[kept] = range(len(kept))
    scenes = []
    for scene in data.scenes:
        scene = scene.chosen(np.isin(scene.labels, kept))
        scenes.append(replace(scene, labels=places[scene.labels]))
    ids = tuple(data.category_ids[label] for label in kept)
    return replace(
        data, class_names=tuple(data.class_names[label] for label in kept), category_ids=ids, scenes=tuple(scenes)
    )


def labels_of(names: Sequence[str], class_names: Sequence[str]) -> list[int]:
    """The labels of classes that a detector tells apart. Raises InputError for a name that it does not know."""
    if unknown := [name for name in names if name not in class_names]:
        raise InputError(
            f"The detector knows no class {named_few(unknown)}, only {', '.join(class_names)}{comma_hint(class_names)}"
        )
    return [class_names.index(name) for name in names]


def only(found: ImageResults, names: Sequence[str] | None, class_names: Sequence[str]) -> ImageResults:
    """The detections of these classes, or all for None. Raises InputError for a name that the detector does not know."""
    return found if names is None else found.chosen(np.isin(found.labels, labels_of(names, class_names)))


def _ids(data: SceneSet, like: SceneSet) -> tuple[int, ...]:
    """The category ids of a data set for another one's classes: its own where it has the class."""
    own = dict(zip(data.class_names, data.category_ids, strict=True))
    taken = set(data.category_ids)
    found = []
    for name, number in zip(like.class_names, like.category_ids, strict=True):
        if name not in own:
            number = next(n for n in (number, *range(1, len(taken) + 2)) if n not in taken)
            taken.add(number)
        found.append(own.get(name, number))
    return tuple(found)
