"""Detectors as files of other programs: what these compute, and what val_detection.py finds with them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import gsnet
from gsnet.interface.running import run
from gsnet.commands import export, val_detection
from gsnet.detection.checkpoint import LoadedDetector, description
from gsnet.detection.data_sets import read_data_set
from gsnet.detection.detector import Detector
from gsnet.detection.export import BINS, BOXES
from gsnet.detection.inference import load_finder
from gsnet.detection.postprocess import PostprocessSettings, suppressed
from gsnet.detection.preprocessing import Preprocessing
from gsnet.detection.priors import clipped, decode, priors
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.suppression_graph import add_suppression, check_suppression, values_of
from gsnet.detection.synthetic import SyntheticSettings, write_synthetic
from gsnet.detection.tiles import TileSettings
from gsnet.detection.visdrone_format import CLASS_NAMES
from gsnet.models.exporting import ExportError, converted
from gsnet.runtimes import Settings, runtime
from tests.detection_golden import fill

TINY = (
    "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,8,2,8,1)SuperGhostShuffleK3(8,16,2,8,1)"
    "SuperGhostShuffleK3(16,16,2,8,1)SuperGhostShuffleK3(16,16,2,8,1)"
)
CLASSES = len(CLASS_NAMES)
NOISE = np.random.default_rng(0).standard_normal((1, 3, 64, 96), dtype=np.float32)


@pytest.fixture(scope="module")
def loaded():
    settings = DetectorSettings(TINY, CLASS_NAMES, neck_channels=16, head_channels=16)
    return LoadedDetector(fill(Detector(settings)).eval(), Preprocessing(96, 64, keep_ratio=True))


@pytest.fixture(scope="module")
def checkpoint(loaded, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "detector.pth"
    torch.save({"state_dict": loaded.detector.state_dict()} | description(loaded.settings, loaded.preprocessing), file)
    return file


@pytest.fixture(scope="module")
def files(checkpoint, tmp_path_factory):
    """What is written of the detector, each once: to write ONNX takes seconds."""
    folder = tmp_path_factory.mktemp("files")
    made = {}

    def file(name):
        if name not in made:
            made[name] = write(folder, name)
        return made[name]

    def write(folder, name):
        if name == "openvino":
            graph = folder / "graph.onnx"
            graph.write_bytes(file("boxes").read_bytes())
            texts = {entry.key: entry.value for entry in onnx.load(graph).metadata_props}
            return converted(graph, "openvino", texts)[0]
        how = {"boxes": ["--decode", "--dynamic"], "bins": ["--format", "ncnn"]}[name]
        path = folder / {"boxes": "boxes.onnx", "bins": "bins.param"}[name]
        assert export.main(["--weights", str(checkpoint), "--output", str(path), *how]) == 0
        return path

    return file


def test_a_file_computes_what_torch_does(loaded, files):
    """Boxes by ONNX in a size that it was not written for, and bins by ncnn, whose files are written in a second."""
    for library in ("ncnn", "pnnx"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    torch.manual_seed(0)
    for name, program, layout, (height, width) in (
        ("boxes", "onnxruntime", BOXES, (96, 160)),
        ("bins", "ncnn", BINS, (64, 96)),
    ):
        session = runtime(program).load(files(name), Settings())
        images = torch.randn(2, 3, height, width)
        out = torch.from_numpy(session.run(images.numpy()))
        with torch.no_grad():
            predictions = loaded.detector(images)
        scores, bins = predictions[..., :CLASSES].sigmoid(), predictions[..., CLASSES:]
        boxes = clipped(decode(bins, priors(height, width, loaded.settings.strides)), height, width)
        parts = (boxes, scores) if layout == BOXES else (scores, bins)
        for found, expected in zip(out.split([part.shape[-1] for part in parts], dim=-1), parts, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
        said = session.texts
        assert json.loads(said["detector"])["classes"] == list(CLASS_NAMES) and said["layout"] == layout
        assert json.loads(said["preprocessing"])["channel_order"] == "rgb"


def test_from_python_a_detector_is_written_as_by_the_command(files, checkpoint, tmp_path):
    for library in ("ncnn", "pnnx"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    found = gsnet.export(checkpoint, tmp_path / "bins.param", format="ncnn")
    for file in found.files:
        assert file.read_bytes() == files("bins").with_name(file.name).read_bytes()
    assert (found.input["layout"], found.input["height"], found.input["width"]) == (BINS, 64, 96)
    with pytest.raises(gsnet.InputError, match=r"^num_classes is of classifiers"):
        gsnet.export(checkpoint, tmp_path / "bins.param", format="ncnn", num_classes=3)
    with pytest.raises(gsnet.InputError, match=r"^decode=True is of detectors alone"):
        gsnet.export(TINY, tmp_path / "net.pt", format="torchscript", untrained=True, decode=True)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    # Of the input's own shape, which a file of one size pads no other way than a checkpoint does.
    settings = SyntheticSettings(images=2, width=192, height=128, objects=(3, 6), sides=(12, 40), overlap=0.0)
    return write_synthetic(tmp_path_factory.mktemp("scenes"), settings)


@pytest.fixture
def found(scenes, tmp_path, capsys):
    """The figures of val_detection.py with a file of weights, and the rows of its result files."""

    def find(weights, *more):
        out = tmp_path / f"of {weights.name}"
        options = ("--data_dir", scenes, "--workers", 0, "--score_threshold", 0.01, "--save_dir", out, "--json", *more)
        status = run(lambda: val_detection.main(["--weights", str(weights), *map(str, options)]))
        told = capsys.readouterr()
        assert status == 0, told.err
        lines = "".join(file.read_text() for file in sorted((out / "results").glob("*.txt")))
        return json.loads(told.out), np.array([line.split(",")[:6] for line in lines.split()], dtype=float)

    return find


def agreement(one, other):
    """Share of rows of either that the other one has to a hundredth of a pixel and a thousandth of score, at most one each.

    Where overlaps or scores are equal to the last digits, two runtimes may keep different ones.
    """
    near = (np.abs(one[:, None] - other[None]) < [0.05, 0.05, 0.05, 0.05, 2e-3, 0.5]).all(axis=2)
    return min(near.any(axis=1).mean(), near.any(axis=0).mean(), len(one) / len(other), len(other) / len(one))


def rows_of(found):
    """Detections as rows of a result file."""
    return np.column_stack([found.boxes, found.scores, found.labels])


@pytest.mark.parametrize("name", ["boxes", "openvino", "bins"])
def test_an_exported_file_is_scored_as_its_checkpoint_is(name, files, checkpoint, found, scenes):
    for library in {"openvino": ["openvino"], "bins": ["ncnn", "pnnx"]}.get(name, []):
        pytest.importorskip(library, reason=f"{library} is not installed")
    expected, rows = found(checkpoint)
    figures, others = found(files(name))
    assert len(rows) > 20 and agreement(rows, others) > 0.95
    assert figures["coco"]["AR500"] == pytest.approx(expected["coco"]["AR500"], abs=5)
    image = read_data_set(scenes).scenes[0].image
    one, other = (gsnet.Detector.load(file, score_threshold=0.01)(image) for file in (checkpoint, files(name)))
    assert agreement(rows_of(one), rows_of(other)) > 0.95


def test_a_file_of_one_size_pads_and_one_of_any_takes_another(files, checkpoint):
    # The smallest input for it is 64 x 64, but the file takes 96 x 64.
    tall = np.random.default_rng(0).integers(0, 256, (160, 100, 3), dtype=np.uint8)
    found = gsnet.Detector.load(files("bins"), score_threshold=0.01)(tall)
    assert len(found) and (found.boxes >= 0).all() and (found.boxes <= [100, 160, 100, 160]).all()
    with pytest.raises(gsnet.InputError, match="takes inputs of 96 x 64 alone: leave resolution out"):
        gsnet.Detector.load(files("bins"), resolution=128)
    inputs = {"resolution": 128, "score_threshold": 0.01}
    one, other = (gsnet.Detector.load(file, **inputs)(tall) for file in (checkpoint, files("boxes")))
    # On noise most scores are 1, and rounding decides which of equal ones are kept.
    assert agreement(rows_of(one), rows_of(other)) > 0.9


def test_detections_of_a_file_are_those_of_the_pipeline(files, checkpoint, tmp_path, found, monkeypatch):
    graph = files("boxes").read_bytes()
    monkeypatch.setattr("gsnet.detection.export.write_onnx", lambda network, file, *_: file.write_bytes(graph))
    file = tmp_path / "nms.onnx"
    options = ("--nms", "--dynamic", "--score_threshold", "0.02", "--max_detections", "7")
    assert export.main(["--weights", str(checkpoint), "--output", str(file), *options]) == 0
    onnx.checker.check_model(onnx.load(file), full_check=True)
    assert "NonMaxSuppression" in [node.op_type for node in onnx.load(file).graph.node]
    # What val_detection.py asks for counts more than what the file was written with.
    for more in ([], ["--nms_threshold", "0.2", "--max_detections", "12"]):
        expected, other = (found(weights, *more)[1] for weights in (checkpoint, file))
        assert len(expected) > 20 and agreement(expected, other) > 0.9
    boxes, scores, classes = onnxruntime.InferenceSession(str(file)).run(
        None, {"images": np.random.default_rng(0).standard_normal((3, 3, 64, 128), dtype=np.float32)}
    )
    assert boxes.shape == (3, 7, 4) and scores.shape == classes.shape == (3, 7)
    assert (scores[classes >= 0] > 0.02).all() and (scores[classes < 0] == 0).all()


def test_a_detector_that_cannot_be_rewritten_is_written_as_it_is(loaded, files, checkpoint, tmp_path, monkeypatch):
    """Where rewriting leads to a graph that cannot be written, and where it is not asked for."""
    tried, graph = [], files("boxes").read_bytes()

    def write(network, file, *_):
        tried.append(network.detector)
        file.write_bytes(graph)
        if network.detector is rewritten:
            raise RuntimeError("no such operator")

    rewritten = Detector(loaded.settings)
    monkeypatch.setattr("gsnet.detection.export.write_onnx", write)
    monkeypatch.setattr("gsnet.runtimes.onnx_runtime.OnnxRuntime.rewritten", lambda *_: rewritten)
    for more, forms in ((["--dynamic"], [True, False]), (["--dynamic", "--no_fuse"], [False])):
        file = tmp_path / f"{len(more)}.onnx"
        assert export.main(["--weights", str(checkpoint), "--output", str(file), "--decode", *more]) == 0
        assert [one is rewritten for one in tried] == forms and file.is_file()
        tried.clear()


@pytest.mark.parametrize(
    ("images", "priors", "candidates"), [(1, 50, 5000), (3, 400, 5000), (2, 0, 5000), (1, 2500, 5000), (2, 50, 20)]
)
def test_suppression_as_operators(images, priors, candidates, tmp_path):
    """Against torchvision's, for what has no priors, and more boxes than may be candidates."""
    width = ["N", "P", 7]
    floats = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, width) for name in ("images", "predictions")
    ]
    node = onnx.helper.make_node("Identity", ["images"], ["predictions"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "decoded", floats[:1], floats[1:]),
        opset_imports=[onnx.helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.save(model, tmp_path / "nms.onnx")
    add_suppression(tmp_path / "nms.onnx", 3, PostprocessSettings(candidates=candidates))
    session = runtime("onnxruntime").load(tmp_path / "nms.onnx", Settings())
    random = np.random.default_rng(0)
    corners, sides = random.uniform(0, 100, (images, priors, 2)), random.uniform(5, 40, (images, priors, 2))
    scores = random.uniform(0, 1, (images, priors, 3))
    predictions = np.concatenate([corners, corners + sides, scores], axis=-1).astype(np.float32)
    for settings in (
        PostprocessSettings(0.3, 0.5, 7),
        PostprocessSettings(0.001, 0.6, 500),
        PostprocessSettings(0.99999),
    ):
        outputs = session.run_all(predictions, values_of(settings))
        settings = replace(settings, candidates=candidates)
        for prediction, boxes, found, labels in zip(torch.from_numpy(predictions), *outputs, strict=True):
            expected, there = suppressed(prediction[:, :4], prediction[:, 4:], settings), labels >= 0
            assert len(labels) == min(settings.max_detections, 3 * priors)
            assert not found[~there].any() and set(labels[~there].tolist()) <= {-1}
            np.testing.assert_allclose(boxes[there], expected.boxes)
            np.testing.assert_allclose(found[there], expected.scores)
            assert labels[there].tolist() == expected.labels.tolist()


def test_a_file_that_suppresses_other_overlaps_is_refused(files, tmp_path):
    """Behind predictions whose boxes all lie in one place one of each class is left."""
    file, run_decoded = tmp_path / "nms.onnx", runtime("onnxruntime").load(files("boxes"), Settings()).run
    shutil.copy(files("boxes"), file)
    add_suppression(file, CLASSES, PostprocessSettings())

    def in_one_place(images):
        predictions = run_decoded(images).copy()
        predictions[..., :4] = 8, 8, 40, 40
        return predictions

    check_suppression(file, run_decoded, (64, 96))
    with pytest.raises(ExportError, match=r"onnx suppresses other overlaps, .*: nothing is kept"):
        check_suppression(file, in_one_place, (64, 96))


def test_int8_keeps_scores_and_boxes_apart(files, checkpoint, scenes, tmp_path, capsys, monkeypatch):
    graph, detectors = files("boxes").read_bytes(), {}

    def write(network, file, *_):
        detectors[file.stem] = network.detector
        file.write_bytes(graph)

    for module in ("export", "int8"):
        monkeypatch.setattr(f"gsnet.detection.{module}.write_onnx", write)
    file = tmp_path / "int8.onnx"
    options = ("--weights", str(checkpoint), "--output", str(file), "--nms", "--dynamic", "--int8", "--json")
    assert export.main([*options, "--calibration", str(scenes), "--ap_loss", "90"]) == 0
    written = json.loads(capsys.readouterr().out)
    # Beside it is what an export in float32 writes, in which splits and shuffles are weights.
    assert isinstance(detectors["int8"], Detector) and isinstance(detectors["fp32"], torch.fx.GraphModule)
    floats, integers = written["forms"]
    assert floats["output_error"] == 0 < integers["output_error"] and integers["ap50"] is not None
    kinds = [one.kind for one in runtime("onnxruntime").load(file, Settings()).operations(NOISE, 1)]
    # What is behind the last convolutions is not of integers: one scale for boxes and scores leaves no score.
    assert "QLinearConv" in kinds and "Softmax" in kinds and "QLinearSoftmax" not in kinds
    assert len(gsnet.Detector.load(file, score_threshold=0.01)(np.zeros((64, 96, 3), np.uint8))) > 0
    pictures = scenes / "images"
    with pytest.raises(gsnet.InputError, match=r"int8 costs .* output error, 1e-09 are allowed: nothing is kept"):
        export.main(
            [
                *options[:3],
                str(tmp_path / "no.onnx"),
                "--int8",
                "--calibration",
                str(pictures),
                "--output_error",
                "1e-9",
            ]
        )
    assert not (tmp_path / "no.onnx").exists()
    for more, told in (
        (["--format", "ncnn"], "--int8 is written as onnx or openvino"),
        (["--top1_loss", "3"], "--top1_loss is of classifiers;"),
        (["--calibration", str(tmp_path / "none")], "There is no data set"),
        (["--no_fuse"], "--no_fuse does nothing with --int8 of a detector"),
    ):
        with pytest.raises(gsnet.InputError, match=told):
            export.main([*options[:4], "--int8", "--calibration", str(scenes), *more])


def test_what_a_file_must_say(tmp_path, files, capsys):
    bare = onnx.load(files("boxes"))
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    with pytest.raises(gsnet.InputError, match=r"does not say what its classes.*gsnet export --weights CHECKPOINT"):
        gsnet.Detector.load(tmp_path / "bare.onnx")
    with pytest.raises(gsnet.InputError, match="There is no file"):
        gsnet.Detector.load(tmp_path / "none.onnx")
    (tmp_path / "torn.onnx").write_bytes(files("boxes").read_bytes()[:5000])
    with pytest.raises(gsnet.InputError, match="onnxruntime cannot run"):
        gsnet.Detector.load(tmp_path / "torn.onnx")
    assert run(lambda: val_detection.main(["--weights", str(files("boxes")), "--data_dir", ".", "--fp16"])) == 2
    assert "runs on the processor, in the precision that it was written in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--weights", "none.pth"), "There is no file none.pth"),
        (("--weights", "detector.pth", "--arch", "resnet18"), "holds a detector, which says itself what it is of"),
        (("--weights", "detector.pth", "--use_se"), "--use_se is of classifiers;"),
        (("--weights", "detector.pth", "--unit", "searched"), "--unit is of classifiers;"),
        (("--weights", "detector.pth", "--license", "mit"), "--license is of classifiers;"),
        (("--weights", "detector.pth", "--format", "torchscript"), "detectors are written as onnx or openvino or ncnn"),
        (("--weights", "detector.pth", "--format", "ncnn", "--dynamic"), "--dynamic is of onnx and openvino"),
        (("--weights", "detector.pth", "--format", "openvino", "--nms"), "--nms is of onnx"),
        (("--weights", "detector.pth", "--max_detections", "9"), "--max_detections does nothing without --nms"),
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


def test_a_file_says_in_which_tiles_images_are_looked_at(loaded, files, tmp_path):
    model = onnx.load(files("boxes"))
    tiles = description(loaded.settings, loaded.preprocessing, TileSettings(64, whole=False))["tiles"]
    entry = model.metadata_props.add()
    entry.key, entry.value = "tiles", json.dumps(tiles)
    onnx.save(model, tmp_path / "tiled.onnx")
    finder = load_finder(tmp_path / "tiled.onnx", "cpu", PostprocessSettings(iou_threshold=0.5))
    assert finder.tiles() == TileSettings(64, whole=False, threshold=0.5) and finder.tiles(0) is None
    assert load_finder(files("boxes"), "cpu", PostprocessSettings()).tiles() is None
