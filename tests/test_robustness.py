"""Every script under every kind of bad input: one clear sentence, status 2, no traceback.

Scripts are discovered, so that a new one joins in. They run in this process, as `python script.py` would run them: starting
Python with torch takes seconds. Where that matters (imports, an interrupt) they are processes of their own.
"""

import argparse
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from Interface.options import OptionParser

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py") if "\ndef main(" in path.read_text())
STRUCTURE = "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,1)"
# Good values of options by name, given to every script that has the option; those of files and folders are made by `good`.
VALUES = {
    "--batch_size": "64",
    "--dataset": "fake",
    "--epochs": "1",
    "--evolution_max_iter": "5",
    "--format": "safetensors",
    "--input_image_size": "16",
    "--limit": "2",
    "--num_classes": "10",
    "--workers": "0",
    "--workers_per_gpu": "0",
    "--zero_shot_score": "Params",
}
# Options whose file or folder is read, and not written.
READ = {
    "--arch",
    "--data",
    "--data_dir",
    "--load_parameters_from",
    "--plainnet_struct_txt",
    "--predict",
    "--report",
    "--resume",
    "--search_space",
    "--search_space_list",
    "--weights",
}


RUN = "import sys; del sys.argv[0]; runpy.run_path(sys.argv[0] + '.py', run_name='__main__')"


class Parsed(Exception):  # noqa: N818 - carries a result, not a failure
    """Carries the parser of a script out of it."""


def run_script(script, arguments, capsys, monkeypatch):
    """Status, standard output and standard error of `python script.py arguments`."""
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *map(str, arguments)])
    capsys.readouterr()
    try:
        runpy.run_path(str(ROOT / f"{script}.py"), run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code or 0
    return status, *capsys.readouterr()


def parser_of(script):
    """The parser that a script makes."""

    def give(self, *_):
        raise Parsed(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OptionParser, "parse_args", give)
        patch.setattr(sys, "argv", [script])
        try:
            runpy.run_path(str(ROOT / f"{script}.py"), run_name="__main__")
        except Parsed as carried:
            return carried.args[0]
    raise AssertionError(f"{script} parses no options by OptionParser.parse_args")


PARSERS = {script: parser_of(script) for script in SCRIPTS}


def options_of(script):
    """The actions of a script that have a long name, by that name."""
    found = {}
    for action in PARSERS[script]._actions:
        for name in action.option_strings:
            if name.startswith("--") and name != "--help" and action.help is not argparse.SUPPRESS:
                found[name] = action
    return found


def path_options(script):
    """Options that name a file or a folder, and --arch, which may."""
    places = ("FILE", "FOLDER", "IMAGE")
    return [
        name
        for name, action in options_of(script).items()
        if str(action.metavar).startswith(places) or name in READ - {"--search_space"}
    ]


def good(script, folder):
    """Arguments with which a script would work for a moment: values by name, files that are sound."""
    (folder / "structure.txt").write_text(STRUCTURE)
    files = {"--arch": folder / "structure.txt", "--save_dir": folder / "results", "--output": folder / "output"}
    files["--plainnet_struct_txt"] = folder / "structure.txt"
    values = VALUES | {name: str(path) for name, path in files.items()}
    known = options_of(script)
    if "--plainnet_struct_txt" in known and not known.get("--arch", argparse.Namespace(required=False)).required:
        del values["--arch"]
    elif script.startswith("val") or "--weights" in known:
        del values["--plainnet_struct_txt"]
    if script == "evolution_search":
        values["--workers"] = "1"
    if "cifar" in script:
        values["--dataset"] = "cifar10"
    given = {name: value for name, value in values.items() if name in known}
    if "--untrained" in known:
        given["--untrained"] = None
    return given


def arguments_of(given):
    return [part for name, value in given.items() for part in ((name,) if value is None else (name, value))]


def assert_one_sentence(status, out, err, case):
    """Status 2, nothing on standard output, one message that names the script; a place in a structure takes two lines more."""
    assert status == 2 and not out.strip() and "Traceback" not in err, (case, status, out, err)
    script = case if isinstance(case, str) else case[0]
    lines = err.strip().splitlines()
    found = [i for i, line in enumerate(lines) if line.startswith(f"{script}.py: ")]
    assert len(found) == 1 and len(lines) - found[0] in (1, 3) and len(lines[found[0]]) < 1000, (case, err)


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_arguments(script, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(*run_script(script, [], capsys, monkeypatch), script)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_what_it_does_and_needs_no_torch(script):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{script}.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path('{script}.py', run_name='__main__')\n"
        "finally:\n"
        "    print('torch' in sys.modules, file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "False\n")
    assert result.stdout.startswith(f"usage: {script}.py")
    assert len(result.stdout.split("\n\n")) >= 3


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_required_option_missing(script, capsys, monkeypatch, tmp_path):
    required = [name for name, action in options_of(script).items() if action.required]
    for name in required:
        given = {n: v for n, v in good(script, tmp_path).items() if n != name}
        status, out, err = run_script(script, arguments_of(given), capsys, monkeypatch)
        assert_one_sentence(status, out, err, (script, name))
        assert name in err


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_option_mistyped(script, capsys, monkeypatch, tmp_path):
    known = options_of(script)
    for name in known:
        wrong = f"{name[:-1]}{name[-1]}{name[-1]}"
        status, out, err = run_script(script, [wrong, "1"], capsys, monkeypatch)
        assert_one_sentence(status, out, err, (script, wrong))
        assert f"there is no option {wrong}; did you mean --" in err
    short = run_script(script, ["--sa", "x"], capsys, monkeypatch)
    assert_one_sentence(*short, (script, "abbreviation"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_number_and_choice_mistyped(script, capsys, monkeypatch, tmp_path):
    for name, action in options_of(script).items():
        if action.nargs != 0 and (action.choices or action.type not in (None, str, Path)):
            given = good(script, tmp_path) | {name: "twelve"}
            status, out, err = run_script(script, arguments_of(given), capsys, monkeypatch)
            assert_one_sentence(status, out, err, (script, name))
            assert name in err


def make_bad(folder):
    """Paths that are not what anybody expects, by what is wrong with them."""
    folder.mkdir()
    (folder / "folder").mkdir()
    (folder / "file").write_text("a file\n")
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 40)
    (folder / "nested").write_text("ResBlock(" * 20_000)
    (folder / "round_and_round").symlink_to(folder / "round_and_round")
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 36)
    bad = {path.name: path for path in folder.iterdir()}
    return bad | {"absent": folder / "absent", "below a file": folder / "file" / "below"}


CASES = [(script, name) for script in SCRIPTS for name in path_options(script)]


@pytest.mark.parametrize(("script", "name"), CASES)
def test_files_and_folders_that_are_something_else(script, name, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("ZENNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for what, path in make_bad(tmp_path / "bad").items():
        given = good(script, tmp_path)
        if name in ("--data", "--data_dir") and given.get("--dataset") == "fake":
            given["--dataset"] = "imagenet" if script == "val" else "cifar10"
        if name == "--weights":
            given.pop("--untrained", None)
        wrong = path.with_suffix(".txt") if name == "--arch" else path
        if wrong != path and os.path.lexists(path):
            path.rename(wrong)
        status, out, err = run_script(script, arguments_of(given | {name: str(wrong)}), capsys, monkeypatch)
        case = (script, name, what)
        # Where it lists what to measure, a search space goes with other options only.
        if name in READ and (name, script) != ("--search_space", "benchmark_network_latency"):
            assert_one_sentence(status, out, err, case)
        else:
            assert status in (0, 2) and "Traceback" not in err, (case, status, err)


ENDLESS = {
    "evolution_search": ("--evolution_max_iter", "100000000", "--origin", "--fix_initialize", "--overwrite"),
    "val": ("--limit", "256", "--batch_size", "1", "--fp16"),
}


@pytest.mark.parametrize("script", ENDLESS)
def test_an_interrupt(script, tmp_path):
    """Ctrl-C while there is work: no traceback, and a status that says so."""
    arguments = [*arguments_of(good(script, tmp_path)), *ENDLESS[script]]
    if script == "evolution_search":
        arguments += ["--search_space", "SearchSpace/search_space_XXBL.py"]
    # A shell's background jobs ignore interrupts, and so would what they start.
    command = [
        sys.executable,
        "-c",
        f"import signal, runpy; signal.signal(2, signal.default_int_handler); {RUN}",
        script,
    ]
    process = subprocess.Popen([*command, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    # Both say something when they begin.
    first = process.stderr.readline()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Traceback" not in first + rest, (first, rest)
