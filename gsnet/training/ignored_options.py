"""Options of the training scripts that other options leave without effect: they are refused, not passed over."""

from __future__ import annotations

from argparse import Namespace

from gsnet.data.settings import DATASETS, NONE, is_never_fetched
from gsnet.interface.options import InputError, OptionParser
from gsnet.training.usual import OPTIMISERS, WITH_MOMENTUM, WITH_NESTEROV

TEACHES_NOTHING = (
    "Without --teacher_feature_weight or --teacher_logit_weight above 0 the teacher teaches nothing: "
    "give one of them, or train without a teacher (train_image_classification.py)"
)
_ALONE = ("cpu", "single")
_CHANGES = ("auto_augment", "random_erase", "color_jitter", "lighting", "scale", "aug_repeats")


def refuse_ignored(parser: OptionParser, options: Namespace) -> None:
    """What a classifier's training would not read. Raises InputError."""
    refuse_ignored_by_machine(parser, options)
    refuse_ignored_by_optimiser(parser, options)
    _refuse_two(options, "plainnet_struct", "plainnet_struct_txt")
    _refuse_two(options, "pretrained", "load_parameters_from")
    if options.start_from or options.pretrained or options.load_parameters_from:
        parser.leave_out(options, "to weights that are brought along", ("weight_init",))
    _refuse_two(options, "batch_size", "batch_size_per_gpu")
    if options.no_data_augment:
        parser.refuse_ignored(options, "with --no_data_augment", _CHANGES)
    if options.cache == NONE:
        parser.refuse_ignored(options, "without --cache", ("cache_memory",))
    if not options.bce_loss:
        parser.refuse_ignored(options, "without --bce_loss", ("bce_target_thresh",))
    if options.dataset == "fake":
        parser.refuse_ignored(options, "with --dataset fake, which is noise", ("data_dir",))
    else:
        parser.refuse_ignored(options, f"with --dataset {options.dataset}", ("fake_images",))
    if DATASETS[options.dataset].cifar:
        whole = f"with --dataset {options.dataset}, whose images are validated whole"
        parser.refuse_ignored(options, whole, ("input_image_crop",))
    if is_never_fetched(options.dataset):
        parser.refuse_ignored(options, f"with --dataset {options.dataset}", ("download",))
    if options.lr_mode == "stagedecay":
        end = ("target_lr", "target_lr_per_256")
        parser.refuse_ignored(options, "with --lr_mode stagedecay, which ends where its stages lead", end)
    else:
        parser.refuse_ignored(options, f"with --lr_mode {options.lr_mode}", ("lr_stage_list", "lr_stage_decay"))
    if options.lr is not None:
        parser.refuse_ignored(options, "beside --lr", ("lr_per_256",))
    if options.target_lr is not None:
        parser.refuse_ignored(options, "beside --target_lr", ("target_lr_per_256",))


def refuse_ignored_by_machine(parser: OptionParser, options: Namespace) -> None:
    """Options of processes, devices and precision that go with others. Raises InputError."""
    if options.gpu is not None and options.dist_mode != "single":
        raise InputError(
            f"--gpu {options.gpu} does nothing with --dist_mode {options.dist_mode}: "
            + ("use --dist_mode single" if options.dist_mode == "cpu" else "each process has a GPU of its own")
        )
    if options.dist_mode in _ALONE:
        several = ("sync_bn", "fp16_allreduce")
        parser.refuse_ignored(options, f"in the one process of --dist_mode {options.dist_mode}", several)
    apex = options.apex or options.dist_mode == "apex"
    if not apex:
        parser.refuse_ignored(options, "without --apex", ("apex_opt_level",))
    if apex:
        _refuse_format_beside_apex(parser, options)
    if not options.fp16:
        parser.refuse_ignored(options, "without --fp16", ("amp_dtype",))
    if not (apex or options.fp16):
        parser.refuse_ignored(options, "without --fp16 or --apex", ("apex_loss_scale",))


def _refuse_format_beside_apex(parser: OptionParser, options: Namespace) -> None:
    parser.leave_out(options, "with NVIDIA Apex", ("amp_dtype",))
    if options.amp_dtype:
        raise InputError(
            f"--amp_dtype {options.amp_dtype} does nothing with NVIDIA Apex, whose levels are of float16: leave it out, or use "
            f"{'--dist_mode ddp' if options.dist_mode == 'apex' else '--fp16'} in place of it"
        )


def refuse_ignored_by_optimiser(parser: OptionParser, options: Namespace) -> None:
    """Constants of other optimisers than the one chosen. Raises InputError."""
    chosen = options.optimizer
    if chosen not in OPTIMISERS:
        # Of a mistyped name more can be said later.
        return
    others: tuple[str, ...] = () if chosen in WITH_MOMENTUM else ("momentum",)
    others += () if chosen in WITH_NESTEROV else ("nesterov",)
    others += () if chosen == "adadelta" else ("adadelta_rho", "adadelta_eps")
    parser.refuse_ignored(options, f"with --optimizer {chosen}", others)


def refuse_ignored_by_teacher(parser: OptionParser, options: Namespace) -> None:
    """What a distillation without one of its two losses would not read, and without both. Raises InputError."""
    _refuse_two(options, "teacher_plainnet_struct", "teacher_plainnet_struct_txt")
    if options.teacher_arch is None and options.teacher_load_parameters_from is None:
        raise InputError("--teacher_arch is required: it names the teacher, as --arch does the student")
    if not (options.teacher_feature_weight or options.teacher_logit_weight):
        raise InputError(TEACHES_NOTHING)
    # Here, before images are read into memory, which may take an hour.
    if options.teacher_cache and options.teacher_feature_weight:
        raise InputError("--teacher_cache keeps logits alone: leave it or --teacher_feature_weight out")
    if not options.teacher_feature_weight:
        maps = ("target_downsample_ratio", "ts_proj_no_bn", "ts_proj_no_relu", "ts_clip")
        parser.refuse_ignored(options, "without --teacher_feature_weight above 0", maps)
    if not options.teacher_logit_weight:
        parser.refuse_ignored(options, "without --teacher_logit_weight above 0", ("teacher_temperature",))


def _refuse_two(options: Namespace, one: str, other: str) -> None:
    if getattr(options, one) and getattr(options, other):
        raise InputError(f"--{one} and --{other} say the same thing twice: use one of them")
