"""What somebody may have meant who typed a name that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Collection

# Names of timm, torchvision's references and Ultralytics, by what scripts here call the same thing: the first that one has.
ELSEWHERE = {
    "batch": ("batch_size",),
    "budget_params": ("budget_model_size",),
    "checkpoint": ("weights", "load_parameters_from"),
    "clip_grad": ("grad_norm",),
    "conf": ("score_threshold",),
    "data": ("data_dir",),
    "drop_path_rate": ("drop_path",),
    "fp16": ("half",),
    "flops": ("budget_flops",),
    "gradient_checkpointing": ("grad_checkpointing",),
    "imgsz": ("input_image_size", "resolution"),
    "img_size": ("input_image_size", "resolution"),
    "initial_checkpoint": ("start_from", "load_parameters_from", "start_weights", "weights"),
    "input_image_size": ("resolution",),
    "input_size": ("input_image_size", "resolution"),
    "iou": ("nms_threshold",),
    "iterations": ("evolution_max_iter",),
    "lr0": ("lr",),
    "model": ("arch",),
    "model_ema": ("ema",),
    "model_ema_decay": ("ema",),
    "opt": ("optimizer",),
    "output": ("save_dir",),
    "params": ("budget_model_size",),
    "population": ("population_size",),
    "project": ("save_dir",),
    "proxy": ("zero_shot_score",),
    "ra_magnitude": ("auto_augment",),
    "ra_reps": ("aug_repeats",),
    "reprob": ("random_erase",),
    "sched": ("lr_mode",),
    "smoothing": ("label_smoothing",),
    "stochastic_depth_prob": ("drop_path",),
    "torchcompile": ("compile",),
    "train_crop_size": ("input_image_size", "resolution"),
    "warmup_epochs": ("warmup",),
    "weight_decay": ("wd",),
}
# Of names that people mistype, nearly all are nearer; of those that are something else, nearly none.
NEAR = 0.72


def option_meant(given: str, options: Collection[str]) -> str | None:
    """The option of these, with its dashes, that `given` stands for: its name elsewhere, or one near to it; else None."""
    bare = _bare(given)
    known = {_bare(option): option for option in reversed(list(options))}
    if bare in known:
        return known[bare]
    for name in ELSEWHERE.get(bare, ()):
        if name in known:
            return known[name]
    nearest = difflib.get_close_matches(bare, known, n=1, cutoff=NEAR)
    return known[nearest[0]] if nearest else None


def _bare(option: str) -> str:
    return option.lstrip("-").replace("-", "_").lower()
