"""The keywords of a training, which are the options of both training scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

Number = int | float
# An option that is on with its usual value by True.
OnOrNumber = bool | int | float
Texts = str | Sequence[str]


class TeacherOptions(TypedDict, total=False):
    """What teaches, and how its word counts, as `gsnet ts_train_image_classification --help` has it.

    teacher_logit_weight, teacher_feature_weight: how much its logits and its maps count; one of them is above 0. A network that
    `teacher` only names has teacher_load_parameters_from, a checkpoint, or teacher_untrained=True.
    """

    teacher_arch: str | None
    teacher_pretrained: bool
    teacher_load_parameters_from: str | Path | None
    teacher_untrained: bool
    teacher_input_image_size: int | None
    teacher_num_classes: int | None
    teacher_plainnet_struct: str | None
    teacher_plainnet_struct_txt: str | Path | None
    teacher_use_se: bool
    teacher_feature_weight: Number
    teacher_logit_weight: Number
    teacher_temperature: Number
    target_downsample_ratio: int
    ts_proj_no_bn: bool
    ts_proj_no_relu: bool
    ts_clip: Number | None
    teacher_cache: str | Path | None


class TrainingOptions(TeacherOptions, total=False):
    """What a training may be told, as `gsnet train_image_classification --help` has it, with the same defaults.

    dataset, save_dir: are needed, but with data_dir, which alone is "image_folder", and with evaluate_only and dry_run.
    recipe: a published training by name, or a TOML file; config: a TOML file of options, or a training's folder, whose options
    are taken: what is given here counts more. auto_resume: go on with what save_dir holds. Of options with a usual value, such
    as mixup, random_erase and label_smoothing, True takes it. What is None is not given.
    """

    plugin: Texts | Sequence[Path]
    config: str | Path | None
    recipe: str | Path | None
    # The network.
    plainnet_struct: str | None
    plainnet_struct_txt: str | Path | None
    use_se: bool
    unit: str | None
    num_classes: int | None
    pretrained: bool
    start_from: str | Path | None
    load_parameters_from: str | Path | None
    weight_init: str
    bn_momentum: Number | None
    bn_eps: Number | None
    # Data.
    dataset: str
    data_dir: str | Path | None
    download: bool
    fake_images: int
    workers_per_gpu: int
    workers: int
    batch_size: int | None
    batch_size_per_gpu: int | None
    input_image_crop: Number
    skip_broken: int
    cache: str
    cache_memory: Number | str
    reduced_decoding: bool
    dataloader_testing: bool
    # Augmentation.
    auto_augment: bool | str
    aa: bool | str
    color_jitter: Number | Sequence[Number] | str | None
    lighting: Number | None
    scale: Sequence[Number] | None
    aug_repeats: int
    random_erase: OnOrNumber
    no_data_augment: bool
    train_crop_size: int | None
    # Optimiser and schedule.
    epochs: int
    optimizer: str
    momentum: Number
    nesterov: bool
    adadelta_rho: Number
    adadelta_eps: Number
    wd: Number
    weight_decay: Number
    lr: Number | None
    target_lr: Number | None
    lr_per_256: Number
    target_lr_per_256: Number
    lr_mode: str
    lr_stage_list: Sequence[int]
    lr_stage_decay: Number
    warmup: int
    batches_per_allreduce: int
    grad_clip: Number | None
    grad_norm: Number | None
    ema: Number | None
    # Fine-tuning.
    freeze: Texts
    lr_head: Number | None
    layer_decay: Number | None
    # Regularisation.
    bce_loss: bool
    bce_target_thresh: Number | None
    label_smoothing: OnOrNumber
    class_weights: str | Path | Sequence[Number] | None
    mixup: OnOrNumber
    cutmix: OnOrNumber
    drop_path: Number
    # The machine.
    dist_mode: str
    gpu: int | None
    sync_bn: bool
    fp16: bool
    amp: bool
    amp_dtype: str | None
    apex: bool
    apex_opt_level: str
    apex_loss_scale: Number | str | None
    fp16_allreduce: bool
    channels_last: bool
    compile: bool
    grad_checkpointing: bool
    # The run.
    save_dir: str | Path
    seed: int
    resume: str | Path | None
    auto_resume: bool
    evaluate_only: bool
    dry_run: bool
    patience: int | None
    time_limit: Number | str | None
    keep_best: int
    log: Texts
    save_freq: int
    print_freq: int


# What the command line calls otherwise.
RENAMED = {"arch": "network", "input_image_size": "resolution"}
