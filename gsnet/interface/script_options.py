"""The options that every script has beside its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gsnet.interface import plugins
from gsnet.interface.options import InputError, OptionParser


def script_parser(description: str, argv: Sequence[str] | None) -> OptionParser:
    """The parser of a script, to which the script adds its options.

    argv: the command line, None for the process's own. What its --plugin names is loaded here, and so are the plugins of
    installed packages, so that help, choices and defaults of what is added know their names. Raises InputError.
    """
    arguments = sys.argv[1:] if argv is None else argv
    plugins.load_all(values_of("--plugin", arguments))
    parser = OptionParser(description)
    group = parser.add_argument_group("of every script")
    group.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE",
        help="Python file, or module by its name, with proxies, blocks, spaces, networks or data sets of your own; repeatable",
    )
    return parser


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
