"""From options to a distillation task."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from torch import nn
from torch.utils.data import DataLoader

from gsnet.data import DataSettings
from gsnet.data.class_folder import training_classes
from gsnet.data.fingerprint import fingerprint
from gsnet.data.settings import DEVICE
from gsnet.interface.description import other_names
from gsnet.interface.network_names import existing_path
from gsnet.interface.options import InputError
from gsnet.models import Described, described, expected_input
from gsnet.models.described import checkpoint_of
from gsnet.models.expected import of_description
from gsnet.models.named import BUILT_AS
from gsnet.models.options import refuse_wrong_path
from gsnet.training.caller import Caller
from gsnet.training.command import train
from gsnet.training.distillation import Distillation, DistillationSettings, Renormalise
from gsnet.training.networks import build_teacher
from gsnet.training.reporting import Report
from gsnet.training.settings import TrainingSettings
from gsnet.training.settings_of_options import training_side
from gsnet.training.teacher_cache import TeacherCache

# Of the log and of the .done file.
STUDENTS = "ts_train_image_classification"
# Settings of data that change no image: images in memory are the same, and those of a device are not.
_SAME_IMAGES = frozenset(("workers", "download", "cache", "cache_memory", "network_classes"))


def train_student(options: Namespace, caller: Caller | None = None) -> Report | None:
    """What ts_train_image_classification.py does; see `gsnet.training.command.train`."""
    complete_teacher(options)
    return train(options, STUDENTS, build_task=distillation, side=largest_side, caller=caller)


def complete_teacher(options: Namespace) -> None:
    """Name the teacher's checkpoint where its folder is given, and by it the network of --teacher_arch. Raises InputError."""
    if options.teacher_arch is not None:
        refuse_wrong_path(options.teacher_arch)
    if options.teacher_load_parameters_from is None:
        return
    file = checkpoint_of(options.teacher_load_parameters_from.expanduser())
    if not file.is_file():
        raise InputError(f"There is no file {file}: --teacher_load_parameters_from takes a checkpoint")
    options.teacher_load_parameters_from = file
    if options.teacher_arch is not None:
        return
    if described(file) is None:
        raise InputError(f"{file} does not say what it is of: name its network with --teacher_arch")
    options.teacher_arch = str(file)


def largest_side(options: Namespace) -> int:
    """The side of training images, in pixels: enough for both networks, each of which interpolates down."""
    return max(training_side(options), _teacher_side(options))


def _teacher_side(options: Namespace) -> int:
    """As told, else what the teacher says of itself, else as the student sees."""
    if options.teacher_input_image_size is not None:
        return options.teacher_input_image_size
    found = _said_by_teacher(options)
    return found.description.resolution if found else training_side(options)


def _said_by_teacher(options: Namespace) -> Described | None:
    """What the teacher's weights say of themselves, else --teacher_arch."""
    file = options.teacher_load_parameters_from
    return (None if file is None else described(file)) or described(options.teacher_arch)


def distillation(
    network: nn.Module, options: Namespace, settings: TrainingSettings, data: DataSettings, training: DataLoader
) -> Distillation:
    """The task of ts_train_image_classification.py; training: the loader of its images. Raises InputError, StructureError."""
    how = DistillationSettings(
        options.teacher_feature_weight,
        options.teacher_logit_weight,
        options.target_downsample_ratio,
        options.teacher_temperature,
        options.ts_clip,
        not options.ts_proj_no_bn,
        not options.ts_proj_no_relu,
        training_side(options),
        _teacher_side(options),
    )
    classes = teacher_classes(options, settings.classes)
    if how.logit_weight and classes != settings.classes:
        raise InputError(
            f"The teacher has {classes} classes, the student {settings.classes}: "
            "leave --teacher_logit_weight out to learn from its maps alone"
        )
    if how.logit_weight:
        _check_names(options, data)
    teacher = build_teacher(options, classes, how.teacher_side)
    cache = None
    if options.teacher_cache and not (options.dry_run or options.evaluate_only):
        steps: int = training.sampler.batches  # type: ignore[attr-defined]
        values = _what_decides_logits(options, settings, data)
        values |= {"steps": steps, "images": fingerprint(training.dataset.images)}  # type: ignore[attr-defined]
        cache = TeacherCache(options.teacher_cache, values, steps, data.batch_size, classes, data.rank)
    return Distillation(network, teacher, how, _preparation(options, data), cache)


def _preparation(options: Namespace, data: DataSettings) -> Renormalise | None:
    """Images as the teacher's weights expect them, where these are published or say it themselves."""
    file = options.teacher_load_parameters_from
    found = None if file is None else described(file)
    expected = of_description(found.description) if found else None
    if options.teacher_pretrained:
        expected = expected_input(options.teacher_arch)
    if expected is None or expected.assumed:
        return None
    return Renormalise(data.normalisation, (expected.mean, expected.std))


def _check_names(options: Namespace, data: DataSettings) -> None:
    """Raise InputError where the teacher says of its classes that they are others, or in another order, than the data's."""
    file = options.teacher_load_parameters_from or options.teacher_arch
    found = described(file)
    theirs = found.description.class_names if found else ()
    if not theirs or not (data.kind.folders or data.data_dir):
        return
    if others := other_names(theirs, training_classes(data.folder) or ()):
        label, there, here = others[0]
        raise InputError(
            f"{file} learnt other classes: class {label} is {there} there and {here} in {data.folder}; "
            "leave --teacher_logit_weight out to learn from its maps alone"
        )


def teacher_classes(options: Namespace, classes: int) -> int:
    """Width of the teacher's logits: as told, else of its published weights, else the student's."""
    if options.teacher_num_classes is not None:
        return options.teacher_num_classes
    if found := _said_by_teacher(options):
        return found.description.classes
    published = expected_input(options.teacher_arch) if options.teacher_pretrained else None
    # Of a name that nothing is known of, what builds the network says more than a number of classes would.
    return classes if published is None or published.assumed else published.classes


def _file_of(arch: str) -> Path | None:
    """The file with a class of the user's, or with a structure, that a name is of; None where it is of none."""
    named, _, _ = arch.rpartition(".py:")
    file = existing_path(f"{named}.py" if named else arch)
    return file if arch not in BUILT_AS and file is not None and file.is_file() else None


def _what_decides_logits(options: Namespace, settings: TrainingSettings, data: DataSettings) -> dict[str, object]:
    values: dict[str, object] = {
        "data": {name: str(value) for name, value in asdict(data).items() if name not in _SAME_IMAGES},
        **({"changed_in": "batches"} if data.cache == DEVICE else {}),
        "mixup": settings.mixup,
        "cutmix": settings.cutmix,
        "amp": settings.amp,
        **({"amp_dtype": settings.amp_dtype} if settings.amp_dtype else {}),
    }
    values |= {name: str(value) for name, value in vars(options).items() if name.startswith("teacher_")}
    for name in ("teacher_cache", "teacher_logit_weight", "teacher_temperature"):
        del values[name]
    names = ("teacher_load_parameters_from", "teacher_plainnet_struct_txt")
    files: dict[str, Path | None] = {name: getattr(options, name) for name in names}
    if found := described(options.teacher_arch):
        files["teacher_arch"] = found.weights
    elif code := _file_of(options.teacher_arch):
        files["teacher_file"] = code
    hashes = {n: hashlib.sha256(f.expanduser().read_bytes()).hexdigest() for n, f in files.items() if f is not None}
    return values | hashes
