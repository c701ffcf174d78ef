"""A training, from Python."""

from __future__ import annotations

import logging
import threading
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Unpack

from gsnet.api.naming import (
    Named,
    arch_of,
    check_names,
    check_switches,
    in_words_of_python,
    is_module,
    keywords_of,
    path_of,
    said_in_python,
)
from gsnet.api.trained import TrainingResult, history_in
from gsnet.api.training_keywords import RENAMED, TeacherOptions, TrainingOptions
from gsnet.interface.logs import logged_into
from gsnet.interface.network_names import existing_path
from gsnet.interface.options import InputError
from gsnet.training.caller import Caller
from gsnet.training.command_lines import options_with_teacher, options_without_teacher

_LOG = logging.getLogger(__name__)
# Random numbers of a whole process follow from the training's seed.
_ONE_AT_A_TIME = threading.Lock()
# Files that name a network, and of which a checkpoint is none.
_NO_CHECKPOINTS = (".txt", ".py", ".onnx")


def train(
    network: Named | type | None = None,
    *,
    resolution: int | None = None,
    teacher: Named | type | None = None,
    **options: Unpack[TrainingOptions],
) -> TrainingResult:
    """Train an image classifier in this process: the folder that train_image_classification.py leaves of the same options.

    network: a structure, a network, a candidate or the result of a search, a results folder, a checkpoint, a published name,
    FILE.py:Class or that class itself; none where `start_from`, `config` or another option says it. resolution: side of the
    images in pixels, by default the network's own; of a structure or a class 32 with CIFAR; else 224. teacher: learn from it,
    as ts_train_image_classification.py does: a training's folder or a checkpoint, or a published name, whose published weights
    are taken. options: `TrainingOptions`.

    What is finished in save_dir by the same options is not trained again. Messages go to the folder's log, and to the logger
    "gsnet" for whoever listens (`logging.basicConfig(level=logging.INFO)`). Trainings of several threads come one after the
    other; random numbers of torch are afterwards what they were. Ctrl-C leaves the last whole epoch for auto_resume=True.

    Raises InputError where an option is wrong, before anything runs, TypeError for one that there is not, StructureError;
    TrainingFailed where the loss is no longer a number; `gsnet.training.settings.Terminated` after SIGTERM, with all saved.
    """
    check_names("A training", options, TrainingOptions.__annotations__, train.__annotations__)
    check_switches(options, TrainingOptions)
    given: dict[str, Any] = {"input_image_size": resolution, **options}
    # A training or what was loaded names weights as its path does.
    given = {name: path_of(value) for name, value in given.items()}
    keywords = keywords_of(TrainingOptions, RENAMED)
    with said_in_python(keywords), _ONE_AT_A_TIME:
        if network is not None:
            given["arch"] = _arch(network)
        if teacher is not None:
            given |= _of_teacher(teacher, options)
        distils = any(given.get(name) not in (None, False) for name in TeacherOptions.__annotations__)
        return _trained(given, distils, keywords)


def _trained(given: Mapping[str, Any], distils: bool, keywords: Mapping[str, str]) -> TrainingResult:
    options = (options_with_teacher if distils else options_without_teacher)("", given)
    from gsnet.training.command import CLASSIFIERS, train_classifier
    from gsnet.training.distillation_command import STUDENTS, train_student
    from gsnet.training.settings import OutOfTime, TrainingFailed
    from gsnet.validation.processes import is_first

    caller = Caller(("gsnet.train",), _logged)
    report: Mapping[str, Any] | None = None
    try:
        with _random_numbers_kept(options):
            report = (train_student if distils else train_classifier)(options, caller)
    except OutOfTime as end:
        _LOG.info("%s", in_words_of_python(str(end), keywords))
    except TrainingFailed as failure:
        raise TrainingFailed(in_words_of_python(str(failure), keywords)) from failure
    if report is not None:
        return TrainingResult(options.save_dir, (), False, report)
    folder: Path = options.save_dir
    # Of several processes the first writes, maybe where the others see nothing.
    rows = history_in(folder) if is_first() else ()
    return TrainingResult(folder, rows, (folder / f"{STUDENTS if distils else CLASSIFIERS}.done").is_file(), {})


def _logged(file: Path | None, quiet: bool) -> AbstractContextManager[None]:
    del quiet
    return nullcontext() if file is None else logged_into(file)


@contextmanager
def _random_numbers_kept(options: Namespace) -> Iterator[None]:
    """torch's random numbers are afterwards as if none had been drawn, of the processor and of --gpu."""
    import torch

    devices = [options.gpu or 0] if options.dist_mode == "single" and torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        yield


def _arch(network: Any) -> str:
    if is_module(network):
        raise InputError(f"A training builds its network itself: give {_instead_of(network)}")
    return arch_of(network)


def _instead_of(module: object) -> str:
    """What names a network of which there is a module."""
    kind = type(module)
    if kind.__module__.partition(".")[0] == "torch":
        return "a name, or a class of your own that makes it, in a file"
    return f"a name, the class {kind.__name__}, or FILE.py:{kind.__name__}"


def _of_teacher(teacher: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """What names the teacher, and its weights."""
    if is_module(teacher):
        raise InputError(
            f"A training builds its teacher itself: give {_instead_of(teacher)}, and as teacher_load_parameters_from the file "
            "of its weights, which torch.save(module.state_dict(), file) writes"
        )
    named = arch_of(teacher)
    if options.get("teacher_load_parameters_from") or options.get("teacher_untrained"):
        return {"teacher_arch": named}
    path = existing_path(named)
    if path is not None and path.suffix not in _NO_CHECKPOINTS:
        return {"teacher_load_parameters_from": named}
    return {"teacher_arch": named, "teacher_pretrained": True}
