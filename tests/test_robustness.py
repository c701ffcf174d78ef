"""Every script under every kind of bad input: one clear sentence, status 2, no traceback.

Scripts are discovered, so that a new one joins in. They run in this process, as `python script.py` would run them: starting
Python with torch takes seconds. Where that matters (imports, an interrupt) they are processes of their own.
"""

import argparse
import contextlib
import ctypes
import os
import random
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsnet.data.name_options import ClassNames
from gsnet.interface import running
from gsnet.interface.options import OptionParser, names
from gsnet.interface.path_options import new_file, structure
from gsnet.interface.path_options import path as any_path

ROOT = Path(__file__).parent.parent
_PATHS = (any_path, new_file, structure)
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py") if path.stem != "Masternet")
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
    else:
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
        # Any word is the name of a class, of a file, and the beginning of a structure.
        free = action.type in (None, str, names, *_PATHS) or isinstance(action.type, ClassNames)
        if action.nargs != 0 and (action.choices or not free):
            given = good(script, tmp_path) | {name: "twelve"}
            status, out, err = run_script(script, arguments_of(given), capsys, monkeypatch)
            assert_one_sentence(status, out, err, (script, name))
            assert name in err


@pytest.mark.parametrize("script", ["analyze_model", "benchmark_network_latency"])
def test_a_structure_that_cannot_read_such_an_image(script, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    # Pooling whose window is larger than its map, and a sum of two maps of different sizes.
    for text in ("SuperConvK3BNRELU(3,8,2,1)MaxPool(8,2,2)", "SuperConvK3BNRELU(3,8,1,1)ResBlock(MaxPool(8,2,2))"):
        size = "1" if "Res" not in text else "5"
        given = [
            "--arch",
            "PlainNet",
            "--plainnet_struct",
            text,
            "--input_image_size",
            size,
            "--num_classes",
            "10",
        ]
        status, _, err = run_script(script, given, capsys, monkeypatch)
        assert status == 2 and "Traceback" not in err and len(err.strip().splitlines()) == 1, (text, err)


@pytest.mark.parametrize("script", SCRIPTS)
def test_paths_that_are_empty_and_files_that_cannot_be_written(script, capsys, monkeypatch, tmp_path):
    """Refused before any work is done for them: a shell's variable that is not set, a folder in the place of a file."""
    for name, action in options_of(script).items():
        cases = {any_path: [""], new_file: ["", str(tmp_path)]}.get(action.type, [])
        for wrong in cases:
            given = good(script, tmp_path) | {name: wrong}
            status, out, err = run_script(script, arguments_of(given), capsys, monkeypatch)
            assert_one_sentence(status, out, err, (script, name))
            said = f"argument {name}: {wrong or 'an empty text is no path'}"
            assert said in err and ".part" not in err, (name, wrong, err)


def make_bad(folder):
    """Paths that are not what anybody expects, by what is wrong with them."""
    folder.mkdir()
    (folder / "folder").mkdir()
    (folder / "file").write_text("a file\n")
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 40)
    (folder / "nested").write_text("ResBlock(" * 20_000)
    (folder / "unreadable").write_text(STRUCTURE)
    (folder / "unreadable").chmod(0)
    (folder / "round_and_round").symlink_to(folder / "round_and_round")
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 36)
    bad = {path.name: path for path in folder.iterdir()}
    return bad | {"absent": folder / "absent", "below a file": folder / "file" / "below"}


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("process", ctypes.c_int))


@pytest.fixture
def no_superuser():
    """Permissions bind the superuser too: without the capabilities that override them (capabilities(7))."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = _CapabilityHeader(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(ctypes.byref(header), held) == 0
    dropped = type(held)(*held)
    dropped[0] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH among the effective ones
    assert libc.capset(ctypes.byref(header), dropped) == 0
    yield
    libc.capset(ctypes.byref(header), held)


CASES = [(script, name) for script in SCRIPTS for name in path_options(script)]


@pytest.mark.parametrize(("script", "name"), CASES)
def test_files_and_folders_that_are_something_else(script, name, capsys, monkeypatch, tmp_path, no_superuser):
    monkeypatch.setenv("ZENNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for what, path in make_bad(tmp_path / "bad").items():
        if name == "--export_onnx" and path.is_file():
            # Written anew, which takes seconds each time.
            continue
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


# What gives a script work for a while, beside its good arguments.
ENDLESS = {
    "benchmark_network_latency": ("--repeat_times", "1000000", "--precision", "1e-9", "--untrained"),
    "compute_score": ("--zero_shot_score", "Zen", "--repeat_times", "100000"),
    "evolution_search": (
        *("--evolution_max_iter", "100000000", "--origin", "--fix_initialize", "--overwrite"),
        *("--search_space", str(ROOT / "SearchSpace/search_space_XXBL.py")),
    ),
    "train_image_classification": ("--epochs", "1000"),
    "ts_train_image_classification": (
        *("--epochs", "1000", "--teacher_arch", "resnet18", "--teacher_untrained", "--teacher_logit_weight", "1"),
    ),
    "val": ("--limit", "256", "--batch_size", "1", "--input_image_size", "1024"),
}
# Says when a script's main begins: an interrupt before that, or after its end, is Python's own affair.
BEGIN = f"""
import resource, runpy, signal, sys
sys.path.insert(0, {str(ROOT)!r})
import gsnet.interface.running
run = gsnet.interface.running.run
def began(*arguments):
    print("began", file=sys.stderr, flush=True)
    try:
        return run(*arguments)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
gsnet.interface.running.run = began
del sys.argv[0]
# A shell's background jobs ignore interrupts, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
"""
FROM_FILE = f"runpy.run_path(f'{ROOT}/{{sys.argv[0]}}.py', run_name='__main__')"


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_interrupt_at_a_random_moment(script, tmp_path, warm_python):
    """Ctrl-C: no traceback, a status that says so, and no half-written file."""
    arguments = [*arguments_of(good(script, tmp_path)), *ENDLESS.get(script, ())]
    process = subprocess.Popen(
        [warm_python, "-c", BEGIN + FROM_FILE, script, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    began = process.stderr.readline()
    time.sleep(random.uniform(0, 1.5))
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=120)[1]
    # Others may have been done before, or without more arguments have had nothing to do.
    expected = (130,) if script in ENDLESS else (130, 0, 2)
    assert began == "began\n" and process.returncode in expected and "Traceback" not in rest, (script, rest)
    assert not list(tmp_path.rglob("*.part"))


# An interrupt at the next import but SKIPPED after gsnet.interface.interrupts, which scripts import before all else of ours.
AT_AN_IMPORT = f"""
import os, runpy, signal, sys
sys.path.insert(0, {str(ROOT)!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting:
    left, loses = int(sys.argv[2]), sys.argv[3]
    def find_spec(self, name, path=None, target=None):
        if "_other_errors" in vars(sys.modules.get("gsnet.interface.interrupts", os)):
            self.left -= 1
            if self.left == -1:
                self.interrupt()
    def interrupt(self):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            if self.loses == "nothing":
                raise
        if self.loses == "the interrupt":
            raise SyntaxError("unknown escape")
sys.meta_path.insert(0, Interrupting())
del sys.argv[2:4], sys.argv[0]
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_interrupt_while_a_script_imports(script, tmp_path):
    """What it interrupts may hand it on, fail in a way of its own (as Python's parser does), or go on."""
    loses = random.choice(["nothing", "the interrupt", "the interrupt and its failure"])
    for skipped, lost in ((0, "nothing"), (random.randrange(1, 15), loses)):
        command = [sys.executable, "-c", AT_AN_IMPORT + FROM_FILE, script, str(skipped), lost]
        command += arguments_of(good(script, tmp_path))
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (result.returncode, result.stderr) == (130, ""), (skipped, lost, result.stderr)
        assert not result.stdout


def test_an_interrupt_that_a_library_loses_while_it_loads(capsys):
    """Half loaded, it then fails in a way of its own."""

    def main():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise RecursionError("maximum recursion depth exceeded")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert running.run(main) == 130 and capsys.readouterr().err == ""
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    # Without an interrupt it is a fault, which is shown.
    with pytest.raises(ZeroDivisionError):
        running.run(lambda: 1 // 0)


def test_an_interrupt_while_python_ends():
    """Libraries may be at work then, and would show where they were."""
    program = """
import atexit, os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from gsnet.interface.running import run
atexit.register(os.kill, os.getpid(), signal.SIGINT)
assert run(lambda: 0) == 0
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (-signal.SIGINT, "")


WRITING = {
    "evolution_search": (
        "--origin",
        "--fix_initialize",
        "--search_space",
        str(ROOT / "SearchSpace/search_space_XXBL.py"),
    ),
    "train_image_classification": (),
    "ts_train_image_classification": (
        "--teacher_arch",
        "resnet18",
        "--teacher_untrained",
        "--teacher_logit_weight",
        "1",
    ),
}


@pytest.mark.parametrize("size", [0, 3000])
@pytest.mark.parametrize("script", WRITING)
def test_a_disk_that_takes_no_more(script, size, tmp_path, warm_python):
    """Files that cannot grow: one sentence that names the file, nothing half written, status 1 or 2."""
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
    command = [warm_python, "-c", BEGIN + limit + FROM_FILE, script]
    arguments = [*arguments_of(good(script, tmp_path)), *WRITING[script]]
    result = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode in (1, 2) and "Traceback" not in result.stderr, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"{script}.py: ") and ("too large" in last or "disk" in last), result.stderr
    assert not list(tmp_path.rglob("*.part"))


PRINTING = {
    "analyze_model": ("--no_ptflops",),
    "benchmark_network_latency": ("--repeat_times", "2"),
    "compute_score": (),
    "val": (),
}


@pytest.mark.parametrize("script", PRINTING)
def test_output_that_cannot_be_written(script, tmp_path, warm_python):
    command = [warm_python, "-c", BEGIN + FROM_FILE, script, *arguments_of(good(script, tmp_path)), *PRINTING[script]]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
    assert result.returncode == 2 and "Traceback" not in result.stderr and "ignored" not in result.stderr
    assert result.stderr.splitlines()[-1] == f"{script}.py: No space left on device"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody:
        result = subprocess.run(
            command, cwd=tmp_path, stdout=nobody, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
    assert result.returncode == 141 and "Broken pipe" not in result.stderr and "Traceback" not in result.stderr


# Commands without a script of their own: arguments that are sound but for the file, and that file's option.
MODULES = {
    "gsnet export": (("--arch", "resnet18", "--format", "safetensors", "--output", "out"), "--weights"),
    "gsnet export --output out": ((), "--weights"),
    "gsnet convert": (("zennet_cifar10_model_size05M_res32", "--output", "out"), "--weights"),
    "gsnet detection-data convert": (("--output", "out"), "--data_dir"),
    "gsnet detection-data stats": ((), "--data_dir"),
}


def run_module(module, arguments, folder, python):
    own = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(folder)}
    command = [python, "-m", *module.split(), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("module", MODULES)
def test_tools_under_bad_input(module, tmp_path, warm_python):
    sound, option = MODULES[module]
    told = run_module(module, ["--help"], tmp_path, warm_python)
    assert told.returncode == 0 and option in told.stdout and not told.stderr
    wrong = {"nothing": [], "required": sound, "mistyped": [*sound, f"{option}x", "1"]}
    if module == "gsnet export":
        del wrong["required"]
    bad = make_bad(tmp_path / "bad")
    wrong |= {what: [*sound, option, path] for what, path in bad.items() if what != "unreadable" or os.geteuid()}
    for what, arguments in wrong.items():
        result = run_module(module, arguments, tmp_path, warm_python)
        assert result.returncode == 2 and not result.stdout and "Traceback" not in result.stderr, (what, result.stderr)
        assert len(result.stderr.strip().splitlines()) == 1 and len(result.stderr) < 1000, (what, result.stderr)
        assert what != "mistyped" or f"did you mean {option}?" in result.stderr
    assert not (tmp_path / "out").exists()
