"""The page about heads of other libraries, and the examples beside it, in this process."""

import re
import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip("timm", reason="timm is not installed")
ROOT = Path(__file__).parent.parent


def run(file, *arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(file), *arguments])
    return runpy.run_path(str(file), run_name="__main__")


def test_the_page_runs_and_prints_what_it_says(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/backbones.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    (tmp_path / "page.py").write_text(code)
    names = run(tmp_path / "page.py", monkeypatch=monkeypatch)
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert [names[name].shape for name in ("last", "vectors", "logits")] == [(2, 128, 2, 2), (2, 128), (2, 5)]


def test_a_segmentation_head_learns_its_masks(monkeypatch, capsys):
    pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")
    run(ROOT / "examples/segmentation_head.py", "--steps", "35", monkeypatch=monkeypatch)
    by_class = dict(re.findall(r"(\w+): IoU ([\d.]+)", capsys.readouterr().out))
    # Background alone would have 1, 0 and 0.
    assert float(by_class["disc"]) > 0.5 and float(by_class["square"]) > 0.5


def test_a_detector_of_torchvision_finds_its_objects(monkeypatch, capsys):
    run(ROOT / "examples/detection_head.py", "--steps", "40", "--side", "64", monkeypatch=monkeypatch)
    found, of = re.search(r"(\d+) of (\d+) objects", capsys.readouterr().out).groups()
    assert int(found) > int(of) / 2


def test_vectors_of_a_fixed_network_tell_stripes_apart(monkeypatch, capsys):
    run(ROOT / "examples/feature_extractor.py", "--images", "100", monkeypatch=monkeypatch)
    assert float(re.search(r"accuracy ([\d.]+) %", capsys.readouterr().out)[1]) > 80
