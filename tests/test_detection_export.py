"""Detectors as ONNX files, run by onnxruntime."""

import json

import onnx
import onnxruntime
import pytest
import torch

from gsnet.interface.running import run
from gsnet.commands import export
from gsnet.detection.checkpoint import LoadedDetector, description
from gsnet.detection.detector import Detector
from gsnet.detection.export import LAYOUTS
from gsnet.detection.preprocessing import Preprocessing
from gsnet.detection.priors import clipped, decode, priors
from gsnet.detection.settings import DetectorSettings
from tests.detection_golden import fill

TINY = (
    "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,8,2,8,1)SuperGhostShuffleK3(8,16,2,8,1)"
    "SuperGhostShuffleK3(16,16,2,8,1)SuperGhostShuffleK3(16,16,2,8,1)"
)


@pytest.fixture(scope="module")
def loaded():
    settings = DetectorSettings(TINY, ("car", "person", "van"), neck_channels=16, head_channels=16)
    return LoadedDetector(fill(Detector(settings)).eval(), Preprocessing(96, 64))


@pytest.mark.parametrize("decoded", [False, True])
def test_onnx_computes_what_torch_does(loaded, tmp_path, decoded):
    state = {"state_dict": loaded.detector.state_dict()} | description(loaded.settings, loaded.preprocessing)
    torch.save(state, tmp_path / "detector.pth")
    file = tmp_path / "detector.onnx"
    argv = ["--weights", str(tmp_path / "detector.pth"), "--output", str(file), *(["--decode"] if decoded else [])]
    assert export.main(argv) == 0
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    torch.manual_seed(0)
    images = torch.randn(2, 3, 64, 96)
    out = torch.from_numpy(session.run(["predictions"], {"images": images.numpy()})[0])
    with torch.no_grad():
        predictions = loaded.detector(images)
    scores, bins = predictions[..., :3].sigmoid(), predictions[..., 3:]
    boxes = clipped(decode(bins, priors(64, 96, loaded.settings.strides)), 64, 96)
    parts = (boxes, scores) if decoded else (scores, bins)
    for found, expected in zip(out.split([part.shape[-1] for part in parts], dim=-1), parts, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    said = {entry.key: entry.value for entry in onnx.load(str(file)).metadata_props}
    assert json.loads(said["detector"])["classes"] == ["car", "person", "van"]
    assert said["layout"] == LAYOUTS[decoded]
    assert json.loads(said["preprocessing"])["channel_order"] == "rgb"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--weights", "none.pth"), "There is no file none.pth"),
        (("--weights", "detector.pth", "--arch", "resnet18"), "holds a detector, which says itself what it is of"),
        (("--weights", "detector.pth", "--use_se"), "--use_se is of the networks of --arch"),
        (("--weights", "detector.pth", "--format", "torchscript"), "detectors are written as onnx"),
        (("--weights", "other.pth"), "does not say what it is of: name its network with --arch"),
        (("--arch", "resnet18", "--untrained", "--decode"), "--decode is of detectors"),
        ((), "Name what to export"),
    ],
)
def test_bad_input_is_one_sentence(arguments, told, loaded, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}}, "other.pth")
    torch.save({"state_dict": {}} | description(loaded.settings, loaded.preprocessing), "detector.pth")
    assert run(lambda: export.main(arguments)) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detector.pth", "other.pth"]
