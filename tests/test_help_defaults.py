"""What --help says of defaults, typed as it stands there, is the default."""

import argparse
import importlib
import re

import pytest

from gsnet.__main__ import COMMANDS
from gsnet.interface.options import OptionParser


def options_of(command, monkeypatch):
    """Every option of a script with what its help says of the default."""
    seen = []

    def keep(parser, *_):
        formatter = parser._get_formatter()
        seen.extend((parser, action, formatter._expand_help(action)) for action in parser._actions if action.help)

    monkeypatch.setattr(argparse.ArgumentParser, "print_help", keep)
    with pytest.raises(SystemExit):
        importlib.import_module(f"gsnet.commands.{command}").main(["--help"])
    return seen


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"detection_data"}))
def test_defaults_are_told_as_one_would_type_them(command, monkeypatch):
    typed = 0
    for parser, action, told in options_of(command, monkeypatch):
        found = re.search(r"\(default: (-?\d[^()]*)\)$", told)
        # A list in words, or another number than the option's own, is no default to be typed.
        if not found or action.default is None or re.search(r"[a-z]{2}", found[1]):
            continue
        values = found[1].split(" ") if action.nargs else [found[1]]
        given = [parser._get_value(action, value) for value in values]
        assert (tuple(given) if action.nargs else given[0]) == action.default, (action.option_strings, told)
        typed += 1
    assert typed or command in ("convert", "analyze_model")


def test_lists_and_counts_are_told_in_their_own_way():
    parser = OptionParser("A script.")
    parser.add_argument("--strides", default=(8, 16), help="strides")
    parser.add_argument("--scale", nargs=2, type=float, default=(0.6, 1.4), help="shares")
    parser.add_argument("--budget", type=float, default=600e6, help="at most")
    parser.add_argument("--share", default="50%", help="of it")
    parser.add_argument("--seed", type=int, default=0, help="of numbers")
    parser.add_argument("--rotation", type=float, default=0.0, help="degrees")
    parser.add_argument("--quiet", action="store_true", help="says less")
    text = parser.format_help() + "\n"
    for told in (
        "strides (default: 8,16)",
        "shares (default: 0.6 1.4)",
        "at most (default: 600M)",
        "of it (default: 50%)",
        "of numbers (default: 0)",
        "degrees (default: 0)",
        "says less\n",
    ):
        assert told in text


@pytest.mark.parametrize(
    ("command", "mode", "more", "module"),
    [
        ("export", "--device_bundle", ["--device_bundle", "{}"], "other_devices"),
        ("benchmark_network_latency", "--build_table", ["--build_table"], "command"),
    ],
)
def test_a_table_s_networks_have_the_classes_and_the_side_that_the_help_says(
    command, mode, more, module, monkeypatch, tmp_path
):
    told = {}
    for _, action, text in options_of(command, monkeypatch):
        if action.dest in ("num_classes", "input_image_size"):
            told[action.dest] = int(re.search(rf"with {mode}\D*(\d+)\)$", text)[1])
    seen = []

    def stop(_, setting):
        seen.append(setting)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"gsnet.latency.{module}.networks_of_layers", stop)
    space = ["--search_space", "ghostshuffle", "--plainnet_struct", "SuperConvK3BNRELU(3,8,2,1)"]
    run = importlib.import_module(f"gsnet.commands.{command}").main
    with pytest.raises(KeyboardInterrupt):
        run([*(word.format(tmp_path / "bundle") for word in more), *space])
    (setting,) = seen
    assert told == {"num_classes": setting.num_classes, "input_image_size": setting.conditions.resolution}
