"""Which package called apex is which. The folders are laid out as the packages' own archives are."""

import sys

import pytest

from gsnet.interface.apex import find_apex


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts files of a package `apex` at the front of the path."""

    def install(files):
        for name, text in files.items():
            file = tmp_path / "apex" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        for name in [name for name in sys.modules if name == "apex" or name.startswith("apex.")]:
            monkeypatch.delitem(sys.modules, name)

    yield install
    for name in [name for name in sys.modules if name == "apex" or name.startswith("apex.")]:
        del sys.modules[name]


NVIDIA = {"__init__.py": "", "normalization/__init__.py": "", "multi_tensor_apply/__init__.py": ""}


def test_no_apex():
    assert find_apex().amp is None
    assert "not installed" in find_apex().message


def test_the_unrelated_package_of_pypi_is_never_imported(installed):
    installed({"__init__.py": "raise SystemExit('imported')", "lib/__init__.py": "", "lib/libapex.py": ""})
    assert find_apex().amp is None
    assert "not NVIDIA's" in find_apex().message


def test_an_apex_of_today_has_no_mixed_precision(installed):
    installed(NVIDIA)
    assert find_apex().amp is None
    assert "no longer has apex.amp:" in find_apex().message


def test_an_apex_that_does_not_fit_its_torch_says_so(installed):
    installed(NVIDIA | {"amp/__init__.py": "import amp_C_of_another_torch"})
    assert find_apex().amp is None
    assert "amp_C_of_another_torch" in find_apex().message


def test_an_apex_with_mixed_precision_is_found(installed):
    installed(NVIDIA | {"amp/__init__.py": "def initialize(model, optimizer): ..."})
    found = find_apex()
    assert found.amp is sys.modules["apex.amp"] and "own apex.amp" in found.message
