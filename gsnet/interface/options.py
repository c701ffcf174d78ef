"""Command-line options: grouped, with their defaults shown, and strict about what they do not know."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from gsnet.interface import quantities
from gsnet.interface.suggestions import option_meant
from gsnet.interface.words import first_line

FAILED, BAD_INPUT = 1, 2
# Options whose values other programs take without them, and what is none of these.
_NAMING = "--arch", "--weights", "--data_dir"
_WORDS_OF_SWITCHES = re.compile(r"[\d.,e+-]+|true|false|yes|no|on|off", re.IGNORECASE)
# Of an option, the others with which it is not required.
_UNLESS = "unless"
# Of torch, whose seeds are signed.
_LEAST_SEED = -(2**63)


class InputError(Exception):
    """Input that a script cannot work with: one sentence that says what to do. The exit status is 2."""

    def __init__(self, message: str = "") -> None:
        # A reading process of torch hands its error on with a traceback before it: what is said stands at the end.
        if message.startswith("Caught ") and "Original Traceback" in message:
            message = message.rsplit(f"{type(self).__name__}: ", 1)[-1].strip()
        super().__init__(message)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        shown = action.help or ""
        # A switch that is off says nothing; a number that is 0, which equals it, does.
        if action.default is False or action.default in (None, argparse.SUPPRESS, [], (), "") or "default" in shown:
            return shown
        return f"{shown} (default: {_as_typed(action).replace('%', '%%')})"


def _as_typed(action: argparse.Action) -> str:
    """An option's default as one would type it."""
    value = action.default
    if isinstance(value, tuple | list):
        return (" " if action.nargs else ",").join(map(str, value))
    if isinstance(value, float) and not value:
        return "0"
    # Counts, whose types take such units.
    return f"{value / 1e6:g}M" if isinstance(value, float) and value >= 1e6 and value % 1e5 == 0 else str(value)


class OptionParser(argparse.ArgumentParser):
    """An argument parser without abbreviations, whose errors name the nearest valid option."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description, formatter_class=_HelpFormatter, allow_abbrev=False)
        # Groups of options' names of which a file may have one and the command line another, which takes its place.
        self.alternatives: list[tuple[str, ...]] = []

    def parse_args(self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None):  # type: ignore[no-untyped-def, override]
        arguments = sys.argv[1:] if args is None else list(args)
        given = {argument.split("=")[0] for argument in arguments}
        for action in self._actions:
            if without := getattr(action, _UNLESS, ()):
                action.required = not set(without) & given
        # Before argparse complains that a required option is missing, which a mistyped one is.
        for argument in itertools.takewhile(lambda a: a != "--", arguments):
            if argument.startswith("--") and argument.split("=")[0] not in self._option_string_actions:
                self.error(self._unknown(argument))
        known, unknown = self.parse_known_args(arguments, namespace)
        if unknown and unknown[0].startswith("-"):
            self.error(self._unknown(unknown[0]))
        if unknown:
            self.error(self._of_no_option(unknown[0], arguments))
        return known

    def leave_out(self, options: argparse.Namespace, mode: str, ignored: Iterable[str]) -> None:
        """Take back and say what a recipe alone asks for and a way of using a script does not read; here there is none."""

    def refuse_ignored(self, options: argparse.Namespace, mode: str, ignored: Iterable[str]) -> None:
        """What a way of using a script does not read may not be given with it. ignored: names as in `options`.

        An option that asks for its default is let pass; one that a recipe asks for is left out. Raises InputError.
        """
        names = set(ignored)
        self.leave_out(options, mode, names)
        for action in self._actions:
            if action.dest not in names or not _differ(value := getattr(options, action.dest), action.default):
                continue
            # Of two flags for one thing, the one that was given.
            if action.nargs != 0 or action.const in (None, value):
                raise InputError(f"{action.option_strings[0]} does nothing {mode}: leave it out")

    def refuse_all_but(self, options: argparse.Namespace, mode: str, read: Iterable[str]) -> None:
        """The same, told by what is read. Raises InputError."""
        every = {action.dest for action in self._actions if action.dest in options}
        self.refuse_ignored(options, mode, every - set(read))

    def error(self, message: str) -> NoReturn:
        self.exit(
            BAD_INPUT,
            f"{self.prog}: {message.rstrip('.?')}{'?' if message.endswith('?') else '.'} See {self.prog} --help\n",
        )

    def _unknown(self, argument: str) -> str:
        options = [name for action in self._actions for name in action.option_strings]
        meant = option_meant(argument.split("=")[0], options)
        hint = f"; did you mean {meant}?" if meant else ""
        return f"there is no option {argument}{hint}"

    def _of_no_option(self, value: str, arguments: Sequence[str]) -> str:
        """What is wrong with a value that no option takes, and which of those that are not given might."""
        given = {argument.split("=")[0] for argument in arguments}
        free = [name for name in _NAMING if name in self._option_string_actions and name not in given]
        shown = shlex.quote(value)
        if not free or not value.strip() or _WORDS_OF_SWITCHES.fullmatch(value):
            return f"{shown} follows no option: every value stands behind the option that it is for"
        return f"{shown} follows no option; did you mean {' or '.join(f'{name} {shown}' for name in free)}?"


def require_unless(option: argparse.Action, *switches: str) -> None:
    """An option that is required where none of these others is given."""
    setattr(option, _UNLESS, switches)


def _differ(value: object, default: object) -> bool:
    """Whether an option asks for something else than its default, which may be a tuple where argparse makes lists."""
    return (tuple(value) if isinstance(value, list) else value) != (
        tuple(default) if isinstance(default, list) else default
    )


def named_few(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    if not found or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names such as car,bus")
    return found


def positive_int(text: str) -> int:
    """A whole number of at least one; 480k and 1e6 are understood too."""
    return quantities.whole(text, 1)


def not_negative(text: str) -> int:
    """A whole number of at least zero, likewise."""
    return quantities.whole(text, 0)


def seed(text: str) -> int:
    """A whole number that random generators begin with."""
    return quantities.whole(text, _LEAST_SEED)


def positive_float(text: str) -> float:
    """A number above zero."""
    return quantities.above_zero(text, quantities.NO_UNITS)


def count(text: str) -> float:
    """A count above zero, which need not be whole: 1e6, 1.5M, 0.4G."""
    return quantities.above_zero(text, quantities.COUNTS, "30e6, 30M or 0.4G")


def size_in_bytes(text: str) -> float:
    """A size above zero, in bytes where no unit follows: 262144, 256KiB, 1.5MB."""
    return quantities.above_zero(text, quantities.BYTES, "262144, 256KiB or 1.5MB")


def seconds(text: str) -> float:
    """A time above zero, in seconds where no unit follows: 0.8e-3, 1ms, 250us."""
    return quantities.above_zero(text, quantities.SECONDS, "0.001, 1ms or 250us")


# The largest number of float32, which optimisers and normalisations compute in.
_LARGEST_SINGLE = 3.4e38


def single(text: str) -> float:
    """A number that float32 can hold, neither infinite nor undefined."""
    value = float(quantities.read(text, quantities.NO_UNITS, "a number that float32 can hold"))
    if not abs(value) < _LARGEST_SINGLE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number that float32 can hold")
    return value


def positive_single(text: str) -> float:
    """A number above zero that float32 can hold."""
    return positive_float(str(single(text)))


def not_negative_single(text: str) -> float:
    """A number of at least zero that float32 can hold."""
    value = single(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is below 0")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = single(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def true_or_false(text: str) -> bool:
    """ "True" or "False", as published command lines write it."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return text.lower() in ("true", "1")


def add_optional(
    group: argparse._ActionsContainer, name: str, usual: float, kind: Callable[[str], float], metavar: str, what: str
) -> None:
    """An option that is off without it, and has a usual value where it is given without one."""
    text = f"{what}; {usual} where no number follows"
    group.add_argument(
        name, nargs="?", type=kind, const=usual, default=0.0, metavar=metavar, help=f"{text} (default: off)"
    )


def add_switch(group: argparse._ActionsContainer, name: str, what: str) -> None:
    """A switch that a recipe may set, so that there is a way to take it back: NAME False."""
    group.add_argument(
        name, nargs="?", type=true_or_false, const=True, default=False, metavar="BOOL", help=f"{what} (default: off)"
    )


def add_skip_broken(group: argparse._ActionsContainer) -> None:
    """The option of every script that reads many images."""
    group.add_argument(
        "--skip_broken",
        type=not_negative,
        default=0,
        metavar="N",
        help="go on past at most N images that cannot be read, instead of ending at the first",
    )


def reading_processes() -> int:
    """How many processes read images unless the user says: six, as published scripts have it, but no more than cores."""
    return min(6, len(os.sched_getaffinity(0)))


def add_device_options(group: argparse._ActionsContainer) -> None:
    """--device and --gpu, which say the same in every script that runs networks."""
    group.add_argument("--gpu", type=int, metavar="N", help="this GPU (default: the CPU)")
    group.add_argument(
        "--device", metavar="NAME", help="instead of --gpu: cpu, cuda, cuda:1, mps or another of torch's"
    )


def device_name(gpu: int | None, name: str | None = None) -> str:
    """The torch device that --device NAME or --gpu N means, by default the CPU. Raises InputError where it is not there."""
    if name is not None and gpu is not None:
        raise InputError("--device and --gpu contradict each other: use one of them")
    if name not in (None, "cpu"):
        return _working_device(name)
    if gpu is None:
        return "cpu"
    import torch

    if gpu >= torch.cuda.device_count() or gpu < 0:
        found = torch.cuda.device_count()
        raise InputError(f"There is no GPU {gpu} (GPUs found: {found}): leave --gpu out to run on the CPU")
    return f"cuda:{gpu}"


def _working_device(name: str) -> str:
    import torch

    try:
        # Also that what is computed there can be had, as of torch's "meta" it cannot.
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(
            f"torch has no device {name!r} here ({first_line(error)}): leave --device out to run on the CPU"
        ) from error
    # Of a processor there is one, whatever number it is called by. A program may give torch's own kind of name.
    found = torch.device(name)
    return "cpu" if found.type == "cpu" else str(found)
