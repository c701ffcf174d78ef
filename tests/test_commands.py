"""`gsnet`: what it lists, how it understands names, and what it says of itself."""

import re
import sys

import pytest

import gsnet
from gsnet.__main__ import COMMANDS, main
from gsnet.interface.version import commit


@pytest.fixture(autouse=True)
def arguments(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gsnet"])


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_alone_it_lists_every_command_in_one_column(argv, capsys):
    assert main(argv) == 0
    out = capsys.readouterr().out
    rows = [
        line for line in out.splitlines() if line.split() and line.split()[0] in COMMANDS and line.startswith("    ")
    ]
    assert [row.split()[0] for row in rows] == sorted(COMMANDS)
    assert {row.index(COMMANDS[row.split()[0]]) for row in rows} == {35}


def test_its_version(capsys):
    assert main(["--version"]) == 0
    known = commit()
    assert capsys.readouterr().out == f"gsnet {gsnet.__version__}" + (f" ({known})\n" if known else "\n")


@pytest.mark.parametrize("name", ["detection-data", "detection_data", "ts-train-image-classification"])
def test_dashes_do_as_well_as_underscores(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0 and capsys.readouterr().out.startswith("usage: gsnet ")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["evolution-serach"], "gsnet: there is no command evolution-serach; did you mean evolution_search?"),
        (["fly"], "gsnet: there is no command fly."),
        (["--verbose"], "gsnet: there is no option --verbose."),
    ],
)
def test_what_it_does_not_know_is_one_sentence(argv, told, capsys):
    assert main(argv) == 2
    assert capsys.readouterr().err == f"{told} See gsnet --help\n"


@pytest.mark.parametrize(
    "argv",
    [
        ["evolution_search", "--zero_shot_score", "ZenClosedForm", "--save_dir", "out"],
        ["benchmark_network_latency", "--build_table"],
        ["export", "--device_bundle", "bundle"],
    ],
    ids=lambda argv: argv[0],
)
def test_a_search_space_that_is_not_there_is_one_sentence(argv, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*argv, "--search_space", "nowhere.py"]) == 2
    assert re.fullmatch(r"gsnet \w+: .*nowhere\.py.*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["analyze_model", "my/search"], "my/search follows no option; did you mean --arch my/search?"),
        (
            ["val", "--arch", "resnet18", "data"],
            "data follows no option; did you mean --weights data or --data_dir data?",
        ),
        (["analyze_model", "--use_se", "True"], "True follows no option: every value stands behind the option"),
        (["evolution_search", "x"], "x follows no option: every value stands behind the option that it is for."),
    ],
)
def test_a_value_without_its_option_is_told_which_it_may_be(argv, told, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2 and told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], "the following arguments are required: task"),
        (["plot"], "invalid choice: 'plot'"),
        (["--json", "stats"], "there is no option --json"),
    ],
)
def test_the_tools_for_detection_data_are_named_first(argv, told, capsys):
    with pytest.raises(SystemExit) as end:
        main(["detection-data", *argv])
    error = capsys.readouterr().err
    assert end.value.code == 2 and told in error and error.count("\n") == 1
    assert error.startswith("gsnet detection-data: ")
