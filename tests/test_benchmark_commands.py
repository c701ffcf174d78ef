"""`python -m benchmarks.NAME` under bad input: one sentence, status 2, no traceback, as scripts have it."""

import ast
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.pages import show_sections

ROOT = Path(__file__).parent.parent


def started(path):
    """The statements that a module runs only where it is started as a program."""
    last = ast.parse(path.read_text()).body[-1]
    return last.body if isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'" else []


COMMANDS = {path.stem: path for path in sorted(ROOT.glob("benchmarks/*.py")) if "__main__" in path.read_text()}


def test_there_are_commands():
    assert {"kill_test", "proxy_report", "runtime_searches"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_goes_through_what_tells_errors(name):
    tree = ast.parse(COMMANDS[name].read_text())
    names = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "gsnet.interface.running"
        for alias in node.names
        if alias.name == "run"
    }
    calls = [ast.unparse(statement) for statement in started(COMMANDS[name])]
    assert len(names) == 1 and len(calls) == 1 and calls[0].startswith(f"sys.exit({names.pop()}(main"), calls


# Arguments, and what the sentence names. GSNET_DATA is an empty folder.
WRONG = {
    "aerial_cars": (["--save_dir", "out"], "aerial_cars.tar"),
    "cell_closed_form_accuracy": ([], "GSNET_DATA"),
    "detection_reading": ([], "GSNET_DATA"),
    "detector_speed": (["no_such_network"], "no_such_network"),
    "fine_tuning": (["--archive", "no_such.tar", "--work_dir", "out"], "no_such.tar"),
    "first_start": (["--against", "no_such_commit"], "no_such_commit"),
    "growth_ladder": ([], "GSNET_DATA"),
    "latency_predictor": (["--backend", "no_such_runtime"], "no_such_runtime"),
    "picture_reading": ([], "GSNET_DATA"),
    "search_throughput": (["--iterations", "500"], "none after its first 1,000"),
    "published_latency_searches": (["--output", "searches.csv"], "GSNET_DATA"),
}


# Values with commas between them.
WRONG_LISTS = [
    ("fused_graph", "--resolutions", "32,x"),
    ("fused_graph", "--resolutions", "32,64"),
    ("fused_graph", "--spaces", "XXBL,no_such_space"),
    ("fused_graph", "--runtimes", "opencv,ncnn"),
    ("latency_predictor", "--settings", "32"),
    ("latency_predictor", "--settings", "32:x"),
    ("latency_predictor", "--settings", "32:1,64:1"),
    ("runtime_searches", "--seeds", "0,,1"),
    ("runtime_searches", "--spaces", ""),
]


def check_one_sentence(name, arguments, told, folder, python):
    own = os.environ | {"PYTHONPATH": str(ROOT), "GSNET_DATA": str(folder)}
    command = [python, "-m", f"benchmarks.{name}", *arguments]
    result = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2 and not result.stdout, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"{name}.py: ") and told in lines[0], result.stderr


@pytest.mark.parametrize("name", WRONG)
def test_bad_input(name, tmp_path, warm_python):
    check_one_sentence(name, *WRONG[name], tmp_path, warm_python)


@pytest.mark.parametrize(("name", "option", "text"), WRONG_LISTS)
def test_bad_lists(name, option, text, tmp_path, warm_python):
    check_one_sentence(name, [option, text], f"{option} {text}: ", tmp_path, warm_python)
    assert not list(tmp_path.iterdir()), "nothing was begun"


def test_the_sections_of_a_page_are_shown_once_and_written_where_asked_for(tmp_path, capsys):
    page = tmp_path / "page.md"
    before = "head\n<!-- one -->\nold\n<!-- end of one -->\n<!-- two -->\nold\n<!-- end of two -->\n"
    page.write_text(before)
    sections = {"one": "| 1 |", "two": "| 2 |\n"}
    show_sections(page, sections, write=False)
    assert (capsys.readouterr().out, page.read_text()) == ("| 1 |\n\n| 2 |\n\n", before)
    show_sections(page, sections, write=True)
    assert capsys.readouterr().out == "| 1 |\n\n| 2 |\n\n"
    assert page.read_text() == before.replace("old", "| 1 |", 1).replace("old", "| 2 |", 1)
