"""Train GSNet's detector on VisDrone, COCO, YOLO, UAVDT or Pascal VOC data.

python train_detection.py --arch save_dir/my_search/best_structure.txt --data_dir VisDrone2019-DET-train \\
    --val_dir VisDrone2019-DET-val --start_weights save_dir/my_classifier/best-params_rank0.pth --keep_ratio \\
    --input_image_size 640 --batch_size 28 --tiny_radius 1.0 --save_dir save_dir/my_detector --auto_resume
torchrun --nproc_per_node=4 train_detection.py --dist_mode ddp --fp16 ...

The results folder receives latest- and best-params_rank0.pth, log.csv, curves.png, config.json, the log, and at the end
a .done file. A training that was killed goes on with --auto_resume as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Sequence

from gsnet.interface.running import run
from gsnet.interface.logs import log_to


def main(argv: Sequence[str] | None = None) -> int:
    """Train; returns the exit status."""
    log_to()
    from gsnet.detection.training_options import parse

    options = parse(__doc__ or "", argv)
    from gsnet.detection.training_command import train
    from gsnet.training.command import exit_status

    return exit_status(lambda: train(options))


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
