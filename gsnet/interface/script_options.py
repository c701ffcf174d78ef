"""The options that every script has beside its own: what a user adds to the package, and options from a file."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from gsnet.interface import plugins
from gsnet.interface.config import Config, Records, read_config
from gsnet.interface.options import InputError, OptionParser
from gsnet.interface.suggestions import option_meant

_LOG = logging.getLogger(__name__)
_NOTHING: Records = MappingProxyType({})


def script_parser(description: str, argv: Sequence[str] | None, records: Records = _NOTHING) -> OptionParser:
    """The parser of a script, to which the script adds its options.

    argv: the command line, None for the process's own. What its --plugin, or the file of its --config, names is loaded here,
    and so are the plugins of installed packages, so that help, choices and defaults of what is added know their names.
    records: which records of results folders --config takes. Raises InputError.
    """
    arguments = sys.argv[1:] if argv is None else argv
    config = next((read_config(source, records) for source in values_of("--config", arguments)[-1:]), None)
    given = values_of("--plugin", arguments)
    plugins.load_all([*_listed(config.values.get("plugin", [])), *given] if config else given)
    if config:
        for difference in plugins.differences(config.plugins, plugins.recorded()):
            _LOG.warning("%s: %s", config.file, difference)
    return _ScriptParser(description, config)


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


class _ScriptParser(OptionParser):
    """An OptionParser that reads options from a file as if they stood before those of the command line."""

    def __init__(self, description: str, config: Config | None) -> None:
        super().__init__(description)
        self._config = config
        self._of_the_file: set[str] = set()
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

    def parse_args(self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None):  # type: ignore[no-untyped-def, override]
        given = sys.argv[1:] if args is None else list(args)
        parsed = super().parse_args([*self._from_file(given), *given], namespace)
        # It has been read: what is recorded is what it says.
        del parsed.config
        return parsed

    def error(self, message: str) -> NoReturn:
        name = message.removeprefix("argument ").partition(":")[0]
        if self._config and set(name.split("/")) & self._of_the_file:
            message = f"{self._config.file}: {message}"
        super().error(message)

    def _from_file(self, given: Sequence[str]) -> list[str]:
        """The file's options as a command line, without those that are given by hand or that these take the place of."""
        if self._config is None:
            return []
        known = self._option_string_actions
        by_hand = {known[name].dest for name in (a.split("=")[0] for a in given) if name in known}
        replaced = by_hand | {name for group in self._exclusive() if by_hand & group for name in group}
        arguments = []
        for key, value in self._config.values.items():
            action = self._action(key, value)
            if action.dest in replaced and not isinstance(action, argparse._AppendAction):
                continue
            if self._config.is_record and (value is None or value == _plain(action.default)):
                continue
            self._of_the_file |= set(action.option_strings)
            arguments += self._as_typed(key, action, value)
        return arguments

    def _exclusive(self) -> Iterator[set[str]]:
        """Groups of options of which one takes the place of the others."""
        for group in self._mutually_exclusive_groups:
            yield {action.dest for action in group._group_actions}
        yield from map(set, self.alternatives)

    def _action(self, key: str, value: Any) -> argparse.Action:
        """The option that a key of the file means. Raises InputError."""
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
        meant = option_meant(key, [f"--{name}" for name in named])
        hint = f"; did you mean {meant.lstrip('-')}?" if meant else f": {self.prog} --help lists them"
        raise InputError(f"{self._file}: there is no option {key}{hint}")

    def _as_typed(self, key: str, action: argparse.Action, value: Any) -> list[str]:
        """An option of the file as it stands on a command line. Raises InputError where none says that."""
        name = action.option_strings[0]
        if action.nargs == 0 or (action.nargs == "?" and isinstance(value, bool)):
            if not isinstance(value, bool) and value != action.const:
                raise self._wrong(key, value, "it is a switch, true or false")
            return [name] if value or value == action.const else []
        values = _listed(value)
        if any(isinstance(one, dict | list) for one in values):
            raise self._wrong(key, value, "an option is a number, a text, true, false or a list of these")
        texts = [one if isinstance(one, str) else repr(one) for one in values]
        if isinstance(action, argparse._AppendAction):
            return [f"{name}={text}" for text in texts]
        if action.nargs not in (None, "?"):
            return [name, *texts]
        return [f"{name}={','.join(texts)}"]

    @property
    def _file(self) -> Path | None:
        return self._config.file if self._config else None

    def _wrong(self, key: str, value: Any, why: str) -> InputError:
        return InputError(f"{self._file}: {key} is {value!r}: {why}")


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _plain(default: Any) -> Any:
    """An option's default as a record has it."""
    if isinstance(default, Path):
        return str(default)
    return list(default) if isinstance(default, tuple) else default
