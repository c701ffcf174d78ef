"""What a user's own file registers is known to every script, without an edit of the package, and to scoring processes."""

import importlib
import json
import logging
import os
import re
import sys
from pathlib import Path

import pytest

import gsnet
import PlainNet
import ZenNet
from gsnet.__main__ import COMMANDS
from gsnet.commands import analyze_model, benchmark_network_latency, compute_score, evolution_search, val
from gsnet.interface.options import InputError
from gsnet.training.options import parser
from SearchSpace import SearchSpaceError, list_spaces, load_search_space, register_space
from ZeroShotProxy import list_proxies

ROOT = Path(__file__).parent.parent
BLOCK, _, SPACE, PROXY = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[-4:]
# The README's block, space and proxy under names of their own, as the plugins of a user who leaves the package alone.
MINE = f"""{BLOCK}
{PROXY.replace('"Width"', '"MyWidth"')}
{SPACE.replace("SuperResK5K5", "SuperMobileK3")}
from SearchSpace import register_space
from gsnet.data import register_data_set
from ZenNet import register_network


def leaves(settings, train, transform):
    from torchvision.datasets import FakeData

    return FakeData(3 if train else 5, (3, 40, 40), 7, transform)


register_space("mine", gen_search_space)
register_network("mine_res32", "SuperConvK3BNRELU(3,8,1,1)SuperMobileK3(8,16,2,48,2)", classes=7, resolution=32)
register_data_set("leaves", classes=7, cifar=True, read=leaves)
"""
START = "SuperConvK3BNRELU(3,8,1,1)SuperMobileK3(8,16,2,48,2)"
SEARCH = ["--zero_shot_score", "MyWidth", "--origin", "--fix_initialize", "--search_space", "mine"]
SEARCH += ["--plainnet_struct", START, "--evolution_max_iter", "30", "--population_size", "8", "--round_size", "8"]


@pytest.fixture
def mine(tmp_path, registries, monkeypatch):
    """The user's file, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    return ["--plugin", "mine.py"]


@pytest.mark.parametrize("name", [*COMMANDS, "detection_data stats", "detection_data synthetic"])
def test_every_command_takes_plugins_and_options_from_a_file(name, registries, capsys):
    command, *task = name.split()
    main = importlib.import_module(f"gsnet.commands.{command}").main
    with pytest.raises(InputError, match=r"nowhere\.py does not exist"):
        main([*task, "--plugin", "nowhere.py"])
    with pytest.raises(InputError, match=r"nowhere\.toml: No such file"):
        main([*task, "--config", "nowhere.toml"])
    with pytest.raises(SystemExit):
        main([*task, "--help"])
    shown = capsys.readouterr().out
    assert "--plugin FILE" in shown and "--config FILE" in shown


def test_what_it_registers_has_a_name_everywhere(mine, capsys):
    assert compute_score.main([*mine, "--zero_shot_score", "MyWidth", "--arch", "mine_res32", "--json"]) == 0
    # Its two blocks give 8 and 16 channels.
    assert json.loads(capsys.readouterr().out)["score"] == 12
    assert "MyWidth" in list_proxies() and "mine" in list_spaces() and "mine_res32" in ZenNet.list_models("mine*")
    assert analyze_model.main([*mine, "--arch", "mine_res32", "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)["params"]
    assert counted == sum(p.numel() for p in ZenNet.get_ZenNet("mine_res32").parameters())
    assert (
        val.main([*mine, *["--arch", "mine_res32", "--untrained", "--dataset", "leaves", "--workers", "0", "--json"]])
        == 0
    )
    row = json.loads(capsys.readouterr().out)
    assert (row["dataset"], row["images"], row["classes"]) == ("leaves", 5, 7)
    with pytest.raises(SystemExit):
        parser("").parse_args(["--arch", "a", "--save_dir", "b", "--dataset", "leafs"])
    assert "did you mean leaves?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evolution_search.main([*mine, "--help"])
    shown = capsys.readouterr().out
    assert "MyWidth" in shown and re.search(r"ghostshuffle,\s+mine,", shown)
    with pytest.raises(ValueError, match=r"'MyWitdh'; did you mean MyWidth"):
        compute_score.main([*mine, "--zero_shot_score", "MyWitdh"])
    with pytest.raises(SearchSpaceError, match="no search space mien; did you mean mine"):
        load_search_space("mien")


@pytest.mark.parametrize("missing", [False, True])
def test_a_runtime_of_ones_own_is_one_file(missing, tmp_path, registries, capsys, monkeypatch):
    """That of the page: timed and compared with torch; a library that it lacks is one sentence, also of a search."""
    for library in ("onnx", "onnxscript"):
        pytest.importorskip(library, reason=f"{library} is not installed (requirements-runtimes.txt)")
    (text,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/runtimes.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "my_runtime.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    structure = "SuperConvK3BNRELU(3,8,2,1)SuperConvK1BNRELU(8,8,1,1)"
    network = ["--plainnet_struct", structure, "--num_classes", "3", "--input_image_size", "8"]
    own = ["--plugin", "my_runtime.py"]
    timed = [*own, "--arch", "PlainNet", "--untrained", *network, "--backend", "torch,reference"]
    timed += ["--repeat_times", "2", "--json"]
    search = [*own, "--zero_shot_score", "Params", "--origin", "--fix_initialize", "--search_space", "XXBL", *network]
    search += ["--latency_source", "measure", "--latency_backend", "reference", "--evolution_max_iter", "2"]
    search += ["--save_dir", "out"]
    if missing:
        monkeypatch.setitem(sys.modules, "onnxscript", None)
        sentence = "reference needs a library that is not installed: pip install onnxscript"
        assert benchmark_network_latency.main(timed) == 0
        assert json.loads(capsys.readouterr().out)["backends"][1]["error"] == sentence
        with pytest.raises(InputError, match=sentence):
            evolution_search.main([*search, "--budget_latency", "9"])
        return
    assert benchmark_network_latency.main(timed) == 0
    _, by_file = json.loads(capsys.readouterr().out)["backends"]
    assert by_file["backend"] == "reference" and by_file["rows"][0]["median"] > 0 and by_file["max_difference"] < 1e-5


def test_names_of_the_package_are_its_own(registries):
    with pytest.raises(SearchSpaceError, match="has a search space XXBL already"):
        register_space("XXBL", lambda block_list, block_id: [])
    with pytest.raises(InputError, match="has a data set cifar10 already"):
        gsnet.data.register_data_set("cifar10")
    with pytest.raises(InputError, match="has a gsmodel_l already"):
        ZenNet.register_network("gsmodel_l", START)


def install(folder, monkeypatch, name, plugin, **modules):
    """A package in a folder of packages, as pip leaves it."""
    (folder / f"{name}-1.2.dist-info").mkdir()
    (folder / f"{name}-1.2.dist-info/METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (folder / f"{name}-1.2.dist-info/entry_points.txt").write_text(f"[gsnet.plugins]\nown = {plugin}\n")
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), str(ROOT))))


def test_plugins_reach_scoring_processes_and_the_record(mine, tmp_path, monkeypatch, capsys):
    """Of a file, whose blocks the package's function registers, and of a package, whose blocks are in another module."""
    packages = tmp_path / "packages"
    packages.mkdir()
    # Its blocks are in another module than the one that registers them.
    plugin = "import PlainNet, leafy_blocks\ndef register():\n    PlainNet.register(leafy_blocks.SuperLeaf)\n"
    blocks = BLOCK.replace("SuperMobileK3", "SuperLeaf").partition("def register_netblocks_dict")[0]
    install(packages, monkeypatch, "leafy", "leafy:register", leafy=plugin, leafy_blocks=blocks)
    more = [*SEARCH, "--plainnet_struct", START.replace("SuperMobileK3", "SuperLeaf")]
    for workers in ("1", "2"):
        assert evolution_search.main([*mine, *more, "--save_dir", workers, "--workers", workers]) == 0
    histories = [(tmp_path / workers / "history.csv").read_text() for workers in ("1", "2")]
    assert histories[0] == histories[1] and "SuperLeaf(" in histories[0] and "failed" not in histories[0]
    config = json.loads((tmp_path / "1/config.json").read_text())
    assert [name for name, _ in config["settings"]["plugins"]] == ["mine.py"]
    assert config["packages"]["leafy"] == "1.2"


def test_a_search_goes_on_with_the_plugins_that_it_began_with(mine, tmp_path, capsys):
    assert evolution_search.main([*mine, *SEARCH, "--save_dir", "out"]) == 0
    more = [*SEARCH, "--save_dir", "out", "--evolution_max_iter", "40", "--resume"]
    gsnet.interface.plugins._loaded = gsnet.interface.plugins.Loaded(looked=True)
    with pytest.raises(gsnet.SearchError, match=r"the plugin mine\.py is missing"):
        evolution_search.main(more)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/mine.py").write_text(MINE + "# another\n")
    with pytest.raises(gsnet.SearchError, match=r"the plugin mine\.py has other content"):
        evolution_search.main([*more, "--plugin", "copy/mine.py"])
    # The same file under another name, and one that has nothing to do with it, are no difference.
    (tmp_path / "copy/mine.py").write_text(MINE)
    (tmp_path / "other.py").write_text("")
    assert evolution_search.main([*more, "--plugin=copy/mine.py", "--plugin=other.py"]) == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"import sys\nsys.exit(3)\n", "line 2: it ends the program"),
        (b"x = 1\ny = (\n", r"line 2: '\(' was never closed"),
        (b"x = 1\ny = {}['no']\n", "line 2: KeyError: 'no'"),
        (b"x = 1\ny = '\xe9'\n", "line 2: the text is not utf-8"),
        (b"# coding: nope\n", "unknown encoding"),
        (b"x = 1\0\n", "null bytes"),
        (b"import nothing_of_that_name", "line 1: ModuleNotFoundError"),
        (b"def register_netblocks_dict(known):\n    return known | {'BN': int}\n", "has a block BN already"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(text, told, tmp_path, registries):
    file = tmp_path / "broken.py"
    file.write_bytes(text)
    with pytest.raises(InputError, match=told) as raised:
        gsnet.load_plugin(file)
    assert "broken.py" in str(raised.value)
    if b"register" not in text:
        with pytest.raises(InputError, match=told):
            val.main(["--arch", f"{file}:Network", "--untrained", "--dataset", "fake"])


def test_files_in_other_encodings_and_modules_by_name(tmp_path, registries, monkeypatch):
    (tmp_path / "latin_plugin.py").write_bytes(b"# coding: latin-1\nname = '\xe9'\n")
    assert gsnet.load_plugin(tmp_path / "latin_plugin.py").name == "é"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no module latin_plugin; is latin_plugin\.py meant"):
        gsnet.load_plugin("latin_plugin")
    with pytest.raises(InputError, match=r"no module json\.nothing: is its package installed"):
        gsnet.load_plugin("json.nothing")
    assert gsnet.load_plugin("json.tool") is importlib.import_module("json.tool")


@pytest.mark.parametrize("ask", ["analyze", "compare", "parse"])
def test_a_program_needs_no_call_for_the_plugins_of_packages(ask, tmp_path, registries, monkeypatch):
    install(tmp_path, monkeypatch, "own", "own_blocks", own_blocks=BLOCK)
    monkeypatch.setattr(gsnet.interface.plugins, "_loaded", gsnet.interface.plugins.Loaded())
    found = getattr(gsnet, ask)(START)
    assert ask != "compare" or found["error"] == [None]
    assert gsnet.interface.plugins.packages() == {"own": "1.2"}


def test_a_broken_plugin_of_a_package_names_it_and_the_others_go_on(tmp_path, registries, monkeypatch, caplog):
    install(tmp_path, monkeypatch, "torn", "torn_plugin", torn_plugin="1 / 0")
    install(tmp_path, monkeypatch, "whole", "whole_plugin", whole_plugin=PROXY.replace('"Width"', '"Whole"'))
    with caplog.at_level(logging.WARNING):
        assert gsnet.score(START.partition("SuperMobile")[0], "Whole", resolution=8) == 8
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("The plugin own of the package torn is left out: ") and "ZeroDivisionError" in told
    assert gsnet.interface.plugins.packages() == {"whole": "1.2"}
    assert "SuperMobileK3" not in PlainNet.registered_blocks()
