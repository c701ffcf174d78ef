"""Train an image classifier.

python train_image_classification.py --dataset cifar10 --data_dir data/cifar10 --input_image_size 32 --num_classes 10 \\
    --arch Masternet.py:MasterNet --plainnet_struct_txt best_structure.txt --weight_init custom --nesterov \\
    --epochs 100 --warmup 5 --batch_size 128 --save_dir save_dir/my_training --auto_resume
torchrun --nproc_per_node=4 train_image_classification.py --dist_mode ddp ...

The results folder receives latest- and best-params_rank0.pth, log.csv, curves.png, config.json, the log, the folder runs for
TensorBoard, and at the end a .done file. A training that was killed goes on with --auto_resume as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Sequence

from gsnet.interface.running import run
from gsnet.interface.logs import log_to
from gsnet.training.command_lines import options_without_teacher


def main(argv: Sequence[str] | None = None) -> int:
    """Train; returns the exit status."""
    log_to()
    options = options_without_teacher(__doc__ or "", argv)
    from gsnet.training.command import exit_status, train_classifier

    return exit_status(lambda: train_classifier(options))


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
