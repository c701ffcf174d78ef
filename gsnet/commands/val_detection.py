"""Evaluate a detector, or files of detections, by VisDrone's official protocol and by COCO's.

python val_detection.py --evaluate_results results/ --annotations annotations/ --images images/ --protocol visdrone --json
python val_detection.py --weights save_dir/best-params_rank0.pth --data_dir VisDrone2019-DET-val --draw 8 --save_dir out
python val_detection.py --weights save_dir/best-params_rank0.pth --predict photo.jpg video.mp4 --tile 640 --save_dir out
"""

from __future__ import annotations

from collections.abc import Sequence

from gsnet.interface.running import run
from gsnet.detection import validation_command


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate; returns the exit status."""
    return validation_command.report(validation_command.parse(__doc__ or "", argv))


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
