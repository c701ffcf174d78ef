"""Objects followed through a video: numbers that stay with them, by the ByteTrack of the library `trackers`.

Source: Zhang et al. 2022, "ByteTrack: Multi-Object Tracking by Associating Every Detection Box": what is surely an object
finds its track first, and weak detections then keep tracks alive that found none. Objects of all classes are followed together,
for a class that changes from frame to frame is no other object.
"""

from __future__ import annotations

import importlib.util

import numpy as np

from gsnet.detection.scene import ImageResults, corners
from gsnet.interface.options import InputError

# Below it a detection says nothing about a track either (the paper's threshold).
WEAKEST = 0.1
_SURE, _WEAK = 1.0, 0.0
_BETWEEN = 0.5


def require_tracker() -> None:
    """Raise InputError where the library is not installed."""
    if importlib.util.find_spec("trackers") is None:
        raise InputError("--track needs a library that is not installed: pip install trackers")


class Tracks:
    """The objects of one video. rate: frames a second; a track waits a second for its object."""

    def __init__(self, rate: float) -> None:
        from trackers import ByteTrackTracker

        self._tracker = ByteTrackTracker(
            frame_rate=rate, track_activation_threshold=_BETWEEN, high_conf_det_threshold=_BETWEEN
        )

    def update(self, found: ImageResults, sure: np.ndarray) -> tuple[ImageResults, np.ndarray]:
        """The detections of the next frame that belong to a track, and the tracks' numbers (D,) from 1.

        sure: which detections (D,) begin tracks; the others may only continue them. A track has a number from its second
        frame on.
        """
        from supervision import Detections

        found, sure = found.chosen(found.scores >= WEAKEST), sure[found.scores >= WEAKEST]
        given = Detections(
            corners(found.boxes), confidence=np.where(sure, _SURE, _WEAK), data={"place": np.arange(len(found))}
        )
        tracked = self._tracker.update(given)
        numbers = np.asarray(tracked.tracker_id, dtype=np.int64)
        followed = numbers >= 0
        places = np.asarray(tracked.data.get("place", ()), dtype=np.int64)
        return found.chosen(places[followed]), numbers[followed] + 1


def mot_rows(frame: int, found: ImageResults, numbers: np.ndarray) -> str:
    """Lines of MOTChallenge's results: frame, number, left, top, width, height, score, then VisDrone-MOT's category, -1, -1."""
    rows = zip(numbers.tolist(), found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    return "".join(
        f"{frame},{number},{','.join(f'{value:.2f}' for value in box)},{score:.4f},{label + 1},-1,-1\n"
        for number, box, score, label in rows
    )
