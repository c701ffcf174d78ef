"""Detectors as ONNX files, run by onnxruntime."""

import json

import onnx
import onnxruntime
import pytest
import torch

from Detection import export
from Detection.checkpoint import LoadedDetector, description
from Detection.detector import Detector
from Detection.postprocess import PostprocessSettings, detections, suppressed
from Detection.preprocessing import Preprocessing
from Detection.settings import DetectorSettings
from Interface.running import run
from tests.detection_golden import fill

TINY = (
    "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,8,2,8,1)SuperGhostShuffleK3(8,16,2,8,1)"
    "SuperGhostShuffleK3(16,16,2,8,1)SuperGhostShuffleK3(16,16,2,8,1)"
)


@pytest.fixture(scope="module")
def loaded():
    settings = DetectorSettings(TINY, ("car", "person", "van"), neck_channels=16, head_channels=16)
    return LoadedDetector(fill(Detector(settings)).eval(), Preprocessing(96, 64))


def rows(found):
    """Label, box and score of each detection."""
    return torch.cat((1000 * found.labels[:, None], found.boxes, found.scores[:, None]), dim=1)


@pytest.mark.parametrize("decoded", [False, True])
def test_onnx_gives_the_detections_of_torch(loaded, tmp_path, decoded):
    state = {"state_dict": loaded.detector.state_dict()} | description(loaded.settings, loaded.preprocessing)
    torch.save(state, tmp_path / "detector.pth")
    file = tmp_path / "detector.onnx"
    argv = ["--weights", str(tmp_path / "detector.pth"), "--output", str(file), *(["--decode"] if decoded else [])]
    assert export.main(argv) == 0
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    images = torch.randn(2, 3, 64, 96)
    out = torch.from_numpy(session.run(["predictions"], {"images": images.numpy()})[0])
    with torch.no_grad():
        predictions = loaded.detector(images)
    settings = PostprocessSettings(score_threshold=0.3)
    expected = detections(predictions, (64, 96), loaded.settings, settings)
    if decoded:
        found = [suppressed(row[:, :4], row[:, 4:], settings) for row in out]
    else:
        back = torch.cat((out[..., :3].logit(), out[..., 3:]), dim=-1)
        found = detections(back, (64, 96), loaded.settings, settings)
    assert out.shape == (2, predictions.shape[1], 7 if decoded else 35)
    assert sum(len(one) for one in expected) > 0
    for one, two in zip(found, expected, strict=True):
        # Scores that differ in their last bits change the order, and that alone.
        apart = torch.cdist(rows(one), rows(two), compute_mode="donot_use_mm_for_euclid_dist")
        assert len(one) == len(two) and apart.min(dim=0).values.max() < 1e-3 and apart.min(dim=1).values.max() < 1e-3
    said = {entry.key: entry.value for entry in onnx.load(str(file)).metadata_props}
    assert json.loads(said["detector"])["classes"] == ["car", "person", "van"]
    assert said["layout"] == export.LAYOUTS[decoded]
    assert json.loads(said["preprocessing"])["channel_order"] == "rgb"


def test_bad_input_is_one_sentence(tmp_path, capsys):
    assert run(lambda: export.main(["--weights", str(tmp_path / "none.pth")])) == 2
    assert "There is no file" in capsys.readouterr().err
