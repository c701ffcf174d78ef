"""Published options of the training scripts that stand for nothing now: accepted, with a word on what does their work."""

from __future__ import annotations

import argparse
import textwrap

from gsnet.interface.options import OptionParser

_HELP_WIDTH = 100
# How many values they take, and what does their work.
_RETIRED = {
    "--keep-batchnorm-fp32": (1, "mixed precision keeps normalisation in float32 by itself"),
    "--deterministic": (0, "--seed fixes every random number already"),
    "--prof": (1, "torch.profiler measures where time goes"),
    "--num_job_splits": (1, "nothing reads it"),
    "--job_id": (1, "nothing reads it"),
    "--epoch_offset": (1, "use --resume to begin at a later epoch"),
    "--start_epoch": (1, "use --resume, which knows its epoch"),
    "--auto_batch_size": (0, "use --dry_run to try a --batch_size"),
    "--num_cv_folds": (1, "use a --data_dir for each fold"),
    "--cv_id": (1, "use a --data_dir for each fold"),
    "--world-size": (1, "torchrun --nproc_per_node says it"),
    "--rank": (1, "torchrun says it"),
    "--local_rank": (1, "torchrun says it"),
    "--local-rank": (1, "torchrun says it"),
    "--independent_training": (0, "start the script once for each training"),
    "--strict_load": (0, "loading is always strict"),
}
_DISTILS = "ts_train_image_classification.py learns from a teacher"
_WITH_VALUE = (
    *("--teacher_arch", "--teacher_input_image_size", "--teacher_load_parameters_from", "--teacher_feature_weight"),
    *("--teacher_logit_weight", "--ts_clip", "--target_downsample_ratio"),
)
_WITHOUT_VALUE = ("--teacher_pretrained", "--ts_proj_no_relu", "--ts_proj_no_bn")


class _Retired(argparse.Action):
    """Accepts a retired option and remembers its name for a warning."""

    instead = ""

    def __call__(self, parser, namespace, values, option_string=None) -> None:  # type: ignore[no-untyped-def]
        namespace.retired = [*namespace.retired, f"{option_string} has no effect: {self.instead}"]


def retire_published(parser: OptionParser) -> None:
    """Accept what both training scripts once had."""
    _retire(parser, _RETIRED)


def retire_distillation(parser: OptionParser) -> None:
    """Accept the teacher's options in a script that has none, as the published scripts do."""
    _retire(parser, dict.fromkeys(_WITH_VALUE, (1, _DISTILS)) | dict.fromkeys(_WITHOUT_VALUE, (0, _DISTILS)))


def _retire(parser: OptionParser, options: dict[str, tuple[int, str]]) -> None:
    """Accept options without effect: one line of the help names them all, and each is answered with what stands for it."""
    for name, (values, instead) in options.items():
        action = parser.add_argument(
            name, action=_Retired, nargs=values, dest="retired", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        action.instead = instead  # type: ignore[attr-defined]
    names = [action.option_strings[0] for action in parser._actions if isinstance(action, _Retired)]
    text = f"Accepted and without effect, as published command lines have them: {', '.join(names)}."
    parser.epilog = textwrap.fill(text, _HELP_WIDTH, break_on_hyphens=False)
