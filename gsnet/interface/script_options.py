"""The options that every script has beside its own: what a user adds to the package, and options from a file."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from gsnet.interface import plugins
from gsnet.interface.config import RECIPE, Config, Records, read_config, read_recipe, recipe_names
from gsnet.interface.options import InputError, OptionParser
from gsnet.interface.suggestions import option_meant
from gsnet.interface.values import plain

_LOG = logging.getLogger(__name__)
_NOTHING: Records = MappingProxyType({})
# How options are given: a command line, None for that of the process, or what a program gives, as keywords: values by the
# names of options, with underscores and without leading dashes, None for what is not given.
Given = Sequence[str] | Mapping[str, Any] | None
# What says where other options come from: they are read before there is a parser.
_SOURCES = ("plugin", "config", RECIPE)
_SPELLINGS = re.compile(r"argument (--[\w-]+)(?:/--?[\w-]+)*")


def script_parser(
    description: str, argv: Given, records: Records = _NOTHING, recipes: Path | None = None
) -> ScriptParser:
    """The parser of a script, to which the script adds its options.

    argv: the options that `parse_args` will be given. What its --plugin, or the file of its --config, names is loaded here,
    and so are the plugins of installed packages, so that help, choices and defaults of what is added know their names.
    records: which records of results folders --config takes. recipes: the folder of those that --recipe knows by name, where
    the script has that option. Raises InputError; of keywords the parser does so, too, where it would end the process.
    """
    arguments, keywords = _split(argv)
    config = next((read_config(source, records) for source in values_of("--config", arguments)[-1:]), None)
    recipe = None if recipes is None else _recipe(arguments, config, recipes)
    files = [file for file in (config, recipe) if file is not None]
    named = [name for file in reversed(files) for name in _listed(file.values.get("plugin", []))]
    plugins.load_all([*named, *values_of("--plugin", arguments)])
    if config:
        for difference in plugins.differences(config.plugins, plugins.recorded()):
            _LOG.warning("%s: %s", config.file, difference)
    parser = ScriptParser(description, files) if keywords is None else _KeywordParser(description, [keywords, *files])
    if recipes is not None:
        parser.add_recipe(recipes, recipe)
    return parser


def _split(given: Given) -> tuple[list[str], Config | None]:
    """A command line as it is; of keywords those that say where others come from, as a command line, and the others."""
    if not isinstance(given, Mapping):
        return sys.argv[1:] if given is None else list(given), None
    values = {name: _as_in_file(value) for name, value in given.items()}
    values = {name: value for name, value in values.items() if value is not None and value != []}
    sources = [f"--{name}={value}" for name in _SOURCES for value in _listed(values.pop(name, []))]
    return sources, Config(None, values)


def _as_in_file(value: Any) -> Any:
    """A value of Python's kind as a file of options would have it."""
    if isinstance(value, Path):
        return str(value)
    return [_as_in_file(one) for one in value] if isinstance(value, list | tuple) else plain(value)


def _recipe(arguments: Sequence[str], config: Config | None, folder: Path) -> Config | None:
    """The recipe that the command line names, or else the file of --config. Raises InputError."""
    if by_hand := values_of(f"--{RECIPE}", arguments):
        if config is not None and config.is_record:
            raise InputError(
                f"{config.file} records all options of a training, which leaves nothing to --recipe {by_hand[-1]}: "
                "leave one of the two out"
            )
        return read_recipe(by_hand[-1], folder)
    if config is None or config.recipe is None:
        return None
    if not isinstance(config.recipe, str):
        raise InputError(f"{config.file}: recipe is {config.recipe!r}: it is a name, or a TOML file")
    return read_recipe(config.recipe, folder)


def values_of(option: str, arguments: Sequence[str]) -> list[str]:
    """What a command line gives for an option, before there is a parser. Raises InputError where nothing follows it."""
    found = []
    for place, argument in enumerate(arguments):
        if argument == "--":
            break
        name, equals, value = argument.partition("=")
        if name != option:
            continue
        if not equals and place + 1 == len(arguments):
            raise InputError(f"{option} needs a value")
        found.append(value if equals else arguments[place + 1])
    return found


class ScriptParser(OptionParser):
    """An OptionParser that reads options from files as if they stood before those of the command line.

    files: what the first of them says counts more than what the next says.
    """

    def __init__(self, description: str, files: Sequence[Config]) -> None:
        super().__init__(description)
        self._files = files
        self._recipe: Config | None = None
        # Spellings of the options that a file gives, and the last file that does.
        self._given_by: dict[str, Config] = {}
        group = self.add_argument_group("of every script")
        group.add_argument(
            "--plugin",
            action="append",
            default=[],
            metavar="FILE",
            help="Python file, or module by its name, with proxies, blocks, spaces, networks or data sets of your own; "
            "repeatable",
        )
        group.add_argument(
            "--config",
            metavar="FILE",
            help="TOML file of options, a results folder or its config.json; what the command line says counts more",
        )

    def add_recipe(self, folder: Path, recipe: Config | None) -> None:
        """Add --recipe; folder: of those that it knows by name; recipe: the one that was named."""
        self._recipe = recipe
        self.add_argument_group("recipe").add_argument(
            f"--{RECIPE}",
            metavar="NAME|FILE",
            help=f"the options of a published training: {', '.join(recipe_names(folder))}, or a TOML file of your own; "
            "what else is given counts more",
        )

    def parse_args(self, args: Given = None, namespace: argparse.Namespace | None = None):  # type: ignore[no-untyped-def, override]
        given, _ = _split(args)
        known = self._option_string_actions
        settled = {known[name].dest for name in (a.split("=")[0] for a in given) if name in known}
        arguments = given
        for file in self._files:
            found, settled = self._from_file(file, settled)
            arguments = [*found, *arguments]
        parsed = super().parse_args(arguments, namespace)
        # It has been read: what is recorded is what it says.
        del parsed.config
        return parsed

    def error(self, message: str) -> NoReturn:
        super().error(self._with_file(message))

    def _with_file(self, message: str) -> str:
        """What argparse says of an option, with the file before it that gives it, if one does."""
        name = message.removeprefix("argument ").partition(":")[0]
        files = [self._given_by[spelling] for spelling in name.split("/") if spelling in self._given_by]
        return f"{files[0].prefix}{message}" if files else message

    def leave_out(self, options: argparse.Namespace, mode: str, ignored: Iterable[str]) -> None:
        names = set(ignored)
        for action in self._actions:
            given = next((self._given_by[s] for s in action.option_strings if s in self._given_by), None)
            value = getattr(options, action.dest, action.default)
            if given is None or given is not self._recipe or action.dest not in names or value == action.default:
                continue
            _LOG.info("%s: %s does nothing %s and is left out", given.file, action.option_strings[0], mode)
            setattr(options, action.dest, action.default)

    def _from_file(self, file: Config, settled: set[str]) -> tuple[list[str], set[str]]:
        """The file's options as a command line, and what is settled after them.

        settled: options that are given by hand or by files before; these, and what they take the place of, are left out.
        """
        replaced = settled | {name for group in self._exclusive() if settled & group for name in group}
        arguments, found = [], set()
        for key, value in file.values.items():
            action = self._action(file, key, value)
            if action.dest in replaced and not isinstance(action, argparse._AppendAction):
                continue
            if file.is_record and (value is None or value == _plain(action.default)):
                continue
            found.add(action.dest)
            self._given_by |= dict.fromkeys(action.option_strings, file)
            arguments += self._as_typed(file, key, action, value)
        return arguments, settled | found

    def _exclusive(self) -> Iterator[set[str]]:
        """Groups of options of which one takes the place of the others."""
        for group in self._mutually_exclusive_groups:
            yield {action.dest for action in group._group_actions}
        yield from map(set, self.alternatives)

    def _action(self, file: Config, key: str, value: Any) -> argparse.Action:
        """The option that a key of a file means. Raises InputError."""
        named = {
            name.lstrip("-").replace("-", "_"): action
            for name, action in self._option_string_actions.items()
            if name not in ("-h", "--help", "--config")
        }
        if action := named.get(key.replace("-", "_")):
            return action
        # Of two switches for one thing, such as --no_reslink and --keep_reslink, records have the thing.
        for action in named.values():
            if action.dest == key and (action.nargs != 0 or value in (action.const, None)):
                return action
        if file.is_record:
            # Nobody mistyped it.
            raise InputError(f"{file.file} records a run of another script or version: {self.prog} has no option {key}")
        meant = option_meant(key, [f"--{name}" for name in named])
        hint = f"; did you mean {meant.lstrip('-')}?" if meant else f": {self.prog} --help lists them"
        raise InputError(f"{file.prefix}there is no option {key}{hint}")

    def _as_typed(self, file: Config, key: str, action: argparse.Action, value: Any) -> list[str]:
        """An option of a file as it stands on a command line. Raises InputError where none says that."""
        name = action.option_strings[0]
        if action.nargs == 0 or (action.nargs == "?" and isinstance(value, bool)):
            if not isinstance(value, bool) and value != action.const:
                raise _wrong(file, key, value, "it is a switch, true or false")
            return [name] if value or value == action.const else []
        values = _listed(value)
        if any(isinstance(one, dict | list) for one in values):
            raise _wrong(file, key, value, "an option is a number, a text, true, false or a list of these")
        texts = [one if isinstance(one, str) else repr(one) for one in values]
        if isinstance(action, argparse._AppendAction):
            return [f"{name}={text}" for text in texts]
        if action.nargs not in (None, "?"):
            return [name, *texts]
        # Names with commas in them are typed in a way of their own.
        typed = getattr(action.type, "typed", ",".join) if isinstance(value, list) else ",".join
        return [f"{name}={typed(texts)}"]


class _KeywordParser(ScriptParser):
    """The same for options that a program gives, whose process no wrong one ends."""

    def error(self, message: str) -> NoReturn:
        # Of the spellings of an option, one is its name.
        raise InputError(_SPELLINGS.sub(r"\1", self._with_file(message)))


def _wrong(file: Config, key: str, value: Any, why: str) -> InputError:
    return InputError(f"{file.prefix}{key} is {value!r}: {why}")


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _plain(default: Any) -> Any:
    """An option's default as a record has it."""
    if isinstance(default, Path):
        return str(default)
    return list(default) if isinstance(default, tuple) else default
