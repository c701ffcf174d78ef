"""The import rules of the rooms: arrows only go up, and values need no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Room -> rooms that it may import. Interface is below all of them.
ALLOWED = {
    "Interface": {"PlainNet"},
    "PlainNet": set(),
    "SearchSpace": {"PlainNet"},
    "ZeroShotProxy": {"PlainNet", "Masternet"},
    "Latency": {"PlainNet", "Masternet", "SearchSpace", "Interface"},
    "ZenNet": {"PlainNet", "Masternet", "Interface"},
    "ModelLoader": {"PlainNet", "Masternet", "Interface", "ZenNet"},
    "Validation": {"Interface", "ModelLoader"},
    "DataLoader": {"Interface"},
    "Training": {"PlainNet", "Masternet", "Interface", "ZenNet", "ModelLoader", "DataLoader", "Validation"},
    "Evolution": {"PlainNet", "Masternet", "SearchSpace", "ZeroShotProxy", "Latency", "Interface"},
}
OURS = {*ALLOWED, "Masternet"}
SCRIPTS = {path.stem for path in ROOT.glob("*.py")} - {"Masternet"}


def imported(path):
    """Top-level names that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("room", ALLOWED)
def test_rooms_import_only_what_is_below_them(room):
    for path in (ROOT / room).glob("*.py"):
        names = set(imported(path))
        assert names & OURS - {room} <= ALLOWED[room], path
        assert not names & SCRIPTS, path


@pytest.mark.parametrize(
    "module", ["PlainNet", "SearchSpace", "ZeroShotProxy", "evolution_search", "analyze_model", "ZenNet"]
)
def test_values_need_no_torch(module):
    script = f"import sys, {module}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_scripts_are_short():
    for path in ROOT.glob("*.py"):
        assert len(path.read_text().splitlines()) < 200, path
