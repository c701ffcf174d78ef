"""Train an image classifier with the help of a teacher: from its logits, its maps, or both.

python ts_train_image_classification.py --dataset imagenet --data_dir data/imagenet --input_image_size 224 \\
    --arch save_dir/my_search/best_structure.txt --weight_init custom --nesterov --epochs 480 --warmup 5 \\
    --teacher_arch geffnet_tf_efficientnet_b3_ns --teacher_pretrained --teacher_input_image_size 320 \\
    --teacher_feature_weight 1 --teacher_logit_weight 1 --ts_proj_no_relu --ts_proj_no_bn --target_downsample_ratio 16 \\
    --save_dir save_dir/my_distillation --auto_resume

The results folder is that of train_image_classification.py; student_best-params_rank0.pth holds the student's weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from gsnet.interface.running import run
from gsnet.interface.logs import log_to
from gsnet.training.command_lines import options_with_teacher


def main(argv: Sequence[str] | None = None) -> int:
    """Train; returns the exit status."""
    log_to()
    options = options_with_teacher(__doc__ or "", argv)
    from gsnet.training.command import exit_status
    from gsnet.training.distillation_command import train_student

    return exit_status(lambda: train_student(options))


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
