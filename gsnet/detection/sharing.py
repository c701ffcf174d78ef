"""Results of images that several processes share out."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from gsnet.detection.scene import ImageResults, SceneSet
from gsnet.validation.processes import gathered


def of_all_processes(found: Mapping[str, ImageResults]) -> dict[str, ImageResults]:
    """The results of every process's share of the images by their names, in all of them."""
    plain = {name: (r.boxes.tolist(), r.scores.tolist(), r.labels.tolist()) for name, r in found.items()}
    together: dict[str, ImageResults] = {}
    for message in gathered(json.dumps(plain).encode()):
        for name, (boxes, scores, labels) in json.loads(message).items():
            table = np.array(boxes, dtype=np.float64).reshape(-1, 4)
            together[name] = ImageResults(table, np.array(scores), np.array(labels, dtype=np.int64))
    return together


def in_order(found: Mapping[str, ImageResults], data: SceneSet) -> list[ImageResults]:
    """One entry for each image of a data set; an image that was not looked at has no detections."""
    return [found.get(scene.name, ImageResults()) for scene in data.scenes]
