"""Trainings of the detector: schedule and averages, over-fitting, kills, processes, start weights and bad input."""

import csv
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gsnet.interface.running import run
from gsnet.commands import train_detection as script
from gsnet.commands import val_detection
from gsnet.detection.checkpoint import load_detector
from gsnet.detection.data_sets import read_data_set
from gsnet.detection.detector import Detector
from gsnet.detection.schedule import DetectionSchedule, RampedAverage, new_weight_fraction
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.synthetic import SyntheticSettings, write_synthetic
from gsnet.detection.targets import Targets
from gsnet.detection.task import DetectionTask
from gsnet.interface.options import InputError
from gsnet.training import checkpoints
from Masternet import MasterNet
from PlainNet import DEPLOYED
from tests.detection_golden import GOLDEN

ROOT = Path(__file__).parent.parent
TINY = (
    "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,8,2,8,1)SuperGhostShuffleK3(8,16,2,8,1)"
    "SuperGhostShuffleK3(16,16,2,8,1)SuperGhostShuffleK3(16,16,2,8,1)SuperConvK1BNRELU(16,16,1,1)"
)
SMALL = (
    "SuperConvK3BNRELU(3,16,2,1)SuperGhostShuffleK3(16,24,2,24,1)SuperGhostShuffleK3(24,48,2,32,1)"
    "SuperGhostShuffleK3(48,64,2,48,2)SuperGhostShuffleK3(64,96,2,64,1)"
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    settings = SyntheticSettings(images=8, width=128, height=96, objects=(2, 5), classes=3, sides=(20, 40), overlap=0.0)
    return write_synthetic(tmp_path_factory.mktemp("scenes"), settings)


def arguments(folder, scenes, *more, structure=TINY):
    size = ("--input_image_size", 128, "--input_image_height", 96, "--neck_channels", 16, "--head_channels", 16)
    common = ("--workers", 0, "--batch_size", 4, "--epochs", 3, "--val_interval", 2, "--lr", 2e-3)
    values = ["--arch", structure, "--data_dir", scenes, "--save_dir", folder, *size, *common, *more]
    return [str(value) for value in values]


def log_rows(folder):
    """The log, without the one column that measures time."""
    with (folder / "log.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "images_per_second"} for row in csv.DictReader(file)]


def child(argv):
    torch.set_num_threads(1)
    sys.exit(script.main(argv))


def test_learning_rates_are_the_published_ones():
    golden = GOLDEN["schedule"]
    plan = DetectionSchedule(1e-3, 5e-5, epochs=300, steps_per_epoch=1000, warmup_steps=500)
    for step, lr in golden["warmup_linear_ratio_1e4_steps_500"].items():
        assert plan.rate(0, int(step)) == pytest.approx(lr, rel=1e-9)
    for epoch, lr in golden["cosine_per_epoch"].items():
        assert plan.rate(int(epoch), 501) == pytest.approx(lr, rel=1e-9)
    with pytest.raises(InputError, match="--warmup_steps 500"):
        DetectionSchedule(1e-3, 5e-5, epochs=1, steps_per_epoch=100)


def test_averages_are_the_published_ones():
    golden = GOLDEN["ema"]
    for step, fraction in golden["new_weight_fraction"].items():
        assert new_weight_fraction(golden["decay"], int(step)) == pytest.approx(fraction, rel=1e-8)
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).double()
    average = RampedAverage(network, 0.9998)
    expected = {key: value.clone() for key, value in network.state_dict().items()}
    for step in range(3):
        network(torch.randn(2, 1, 3, 3).double()).sum().backward()
        with torch.no_grad():
            network[0].weight += 1
        average.update_parameters(network)
        fraction = new_weight_fraction(0.9998, step)
        for key, value in network.state_dict().items():
            whole = not value.is_floating_point()
            expected[key] = value if whole else (1 - fraction) * expected[key] + fraction * value
    for key, value in average.module.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-12, atol=1e-12)
    again = RampedAverage(network, 0.9998)
    again.load_state_dict(average.state_dict())
    again.update_parameters(network)
    average.update_parameters(network)
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), average.state_dict().values(), strict=True)
    )


def test_it_learns_eight_scenes_by_heart_and_is_validated_in_the_tiles_that_it_will_look_at(tmp_path, scenes, capsys):
    more = ("--no_data_augment", "--neck_channels", 32, "--head_channels", 32, "--batch_size", 8)
    argv = arguments(tmp_path, scenes, *more, "--epochs", 80, "--val_interval", 80, "--lr", 5e-3, structure=SMALL)
    assert script.main(argv) == 0
    assert float(log_rows(tmp_path)[-1]["val_AP50"]) >= 95
    assert (tmp_path / "curves.png").stat().st_size > 5000
    loaded = load_detector(tmp_path / checkpoints.BEST)
    assert loaded.settings.classes[0] == "pedestrian" and loaded.preprocessing.height == 96
    latest = load_detector(tmp_path / checkpoints.LATEST)
    for one, two in zip(loaded.detector.state_dict().values(), latest.detector.state_dict().values(), strict=True):
        assert torch.equal(one, two)
    more = ("--start_weights", tmp_path / checkpoints.BEST, "--neck_channels", 32, "--head_channels", 32, "--ema", 0)
    more += ("--train_tile", 64, "--epochs", 1, "--lr", 1e-9, "--target_lr", 1e-9, "--wd", 0, "--batch_size", 8)
    assert script.main(arguments(tmp_path / "tiled", scenes, *more, structure=SMALL)) == 0
    logged = {name: float(log_rows(tmp_path / "tiled")[-1][name]) for name in ("val_AP", "val_AP50", "val_AP75")}
    assert logged["val_AP50"] > 10
    capsys.readouterr()

    def scored(*options, data=("--data_dir", scenes)):
        argv = ("--weights", tmp_path / "tiled", *data, "--protocol", "coco", "--json", *options)
        assert val_detection.main([str(value) for value in argv]) == 0
        figures = json.loads(capsys.readouterr().out)
        return {f"val_{name}": figures[f"{name}_500"] for name in ("AP", "AP50", "AP75")}

    as_trained = scored()
    assert as_trained == pytest.approx(logged, abs=1e-9) and scored("--tile", 64) == as_trained
    assert scored("--tile", 0) != as_trained
    # The training's folder says on which data.
    assert scored(data=()) == as_trained
    assert val_detection.main(["--weights", str(tmp_path / "tiled"), "--data_dir", str(scenes), "--limit", "1"]) == 0
    assert "in tiles of 64 pixels, as the detector was trained" in capsys.readouterr().err
    with pytest.raises(InputError, match="--overlap does nothing without --tile"):
        val_detection.main(["--weights", str(tmp_path), "--data_dir", str(scenes), "--overlap", "0.3"])


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path, scenes, monkeypatch):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    sizes, forward = set(), DetectionTask.forward

    def seen(self, images, targets):
        sizes.add(tuple(images.shape[2:]))
        return forward(self, images, targets)

    monkeypatch.setattr(DetectionTask, "forward", seen)
    more = ("--detach_epoch", 1, "--mosaic", 0.5, "--train_tile", 64, "--copy_paste", 0.5, "--multi_scale", 0.4)
    assert script.main(arguments(whole, scenes, *more)) == 0
    # 60 to 140 % of 96 x 128, in multiples of 32.
    assert len(sizes) > 1 and sizes <= {
        (height, width) for height in (64, 96, 128) for width in (64, 96, 128, 160, 192)
    }
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gsnet.detection.training_command", "train_detection"])
    process = context.Process(target=child, args=(arguments(torn, scenes, *more),))
    process.start()
    while process.is_alive() and not (torn / "log.csv").exists():
        time.sleep(0.005)
    process.kill()
    process.join()
    assert len(log_rows(torn)) < 3
    assert script.main(arguments(torn, scenes, *more, "--auto_resume")) == 0
    one, two = (torch.load(f / checkpoints.LATEST, weights_only=True) for f in (whole, torn))
    for part in ("state_dict", "ema"):
        assert one[part].keys() == two[part].keys()
        assert all(torch.equal(value, two[part][key]) for key, value in one[part].items())
    assert log_rows(whole) == log_rows(torn)


def test_two_processes_share_training_and_validation(tmp_path, scenes):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [
        *launcher,
        "train_detection.py",
        "--dist_mode",
        "ddp",
        *arguments(tmp_path, scenes, "--epochs", 1, "--fp16"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr[-2000:]
    state = torch.load(tmp_path / checkpoints.LATEST, weights_only=True)
    assert state["training_status_info"]["best_AP"] >= 0
    assert log_rows(tmp_path)[0]["val_AP"] != ""


def test_a_step_in_parts_and_without_guidance(tmp_path, scenes):
    more = ("--batches_per_step", 2, "--no_auxiliary", "--ema", 0, "--epochs", 1, "--tiny_radius", 1.0, "--keep_ratio")
    more += ("--fp16", "--amp_dtype", "float16")
    assert script.main(arguments(tmp_path, scenes, *more, "--unit", "searched", "--tap_strides", "4,8,16,32")) == 0
    loaded = load_detector(tmp_path / checkpoints.LATEST)
    assert loaded.settings.strides == (4, 8, 16, 32, 64)
    # The scale of a loss in float16, which bfloat16, a processor's own format, has not.
    assert checkpoints.load(tmp_path / checkpoints.LATEST)["scaler"]["scale"] > 1
    assert not any("auxiliary" in key for key in torch.load(tmp_path / checkpoints.LATEST)["state_dict"])
    # The finished folder answers this command alone.
    more, before = (*more, "--unit", "searched", "--tap_strides", "4,8,16,32"), log_rows(tmp_path)
    assert script.main(arguments(tmp_path, scenes, *more)) == 0
    with pytest.raises(InputError, match=r"--grad_norm was 35.0 and is now 9.0.*delete \S+train_detection.done"):
        script.main(arguments(tmp_path, scenes, *more, "--grad_norm", 9))
    assert log_rows(tmp_path) == before
    assert script.main(arguments(tmp_path, scenes, *more, "--epochs", 2, "--auto_resume")) == 0
    assert len(log_rows(tmp_path)) == 2


def test_a_batch_without_objects_has_a_loss_and_gradients():
    task = DetectionTask(Detector(DetectorSettings(TINY, ("a",), neck_channels=16, head_channels=16)))
    loss, positives = task(torch.randn(2, 3, 64, 64), [Targets(), Targets()])
    assert positives == 0
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in task.parameters())


def test_start_weights_of_a_classifier_and_of_a_detector(tmp_path, scenes):
    classifier = MasterNet(num_classes=7, plainnet_struct=TINY, style=DEPLOYED)
    torch.save({"state_dict": classifier.state_dict()}, tmp_path / "classifier.pth")
    one, two = tmp_path / "one", tmp_path / "two"
    kept = ("--lr", 1e-9, "--target_lr", 1e-9, "--epochs", 1, "--ema", 0, "--wd", 0)
    assert script.main(arguments(one, scenes, *kept, "--start_weights", tmp_path / "classifier.pth")) == 0
    trained = load_detector(one / checkpoints.BEST)
    for (key, value), old in zip(trained.detector.backbone.named_parameters(), classifier.parameters(), strict=False):
        torch.testing.assert_close(value, old, rtol=1e-4, atol=1e-6, msg=key)
    # A detector of other classes, by its training's folder: all but the last layers of the head.
    folder = tmp_path / "other"
    folder.mkdir()
    state = torch.load(one / checkpoints.BEST, weights_only=True)
    other = Detector(DetectorSettings(TINY, ("a", "b"), neck_channels=16, head_channels=16))
    torch.save(
        state | {"state_dict": other.state_dict(), "detector": other.settings.to_dict()}, folder / checkpoints.BEST
    )
    assert script.main(arguments(two, scenes, *kept, "--start_weights", folder)) == 0
    neck = load_detector(two / checkpoints.BEST).detector.neck
    for value, old in zip(neck.parameters(), other.neck.parameters(), strict=True):
        torch.testing.assert_close(value, old, rtol=1e-4, atol=1e-6)


def test_classes_that_are_called_otherwise(tmp_path, scenes, capsys):
    """YOLO's names are a list that one edits; its numbers, and the outputs that have learnt them, stay."""
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    (data / "labels").mkdir()
    for image in sorted((scenes / "images").iterdir()):
        shutil.copy(image, data / "images")
        (data / "labels" / f"{image.stem}.txt").write_text("0 .5 .5 .3 .3\n1 .2 .2 .2 .2\n")

    def name(*names):
        (data / "classes.txt").write_text("\n".join(names))

    name("car", "bus")
    begin = ("--epochs", 1)
    assert script.main(arguments(tmp_path / "t", data, *begin)) == 0
    name("bus", "car")
    with pytest.raises(InputError, match="has learnt other classes: class 0 was car and is now bus"):
        script.main(arguments(tmp_path / "t", data, "--epochs", 2, "--auto_resume"))
    # Begun with, they are what a fine-tuning may want, and are said.
    assert script.main(arguments(tmp_path / "u", data, *begin, "--start_weights", tmp_path / "t", "--dry_run")) == 0
    assert "2 of its 2 classes have other names: class 0 was car and is now bus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--batch_size", "1"), "needs at least 2"),
        (("--batch_size", "9"), "use a smaller --batch_size"),
        (("--input_image_size", "100"), "multiples of 32"),
        (("--arch", "SuperConvK3BNRELU(3,8,2,1)"), "none at 8"),
        (("--arch", "no_such_net"), "also takes gsnet_detector"),
        (("--data_dir", "nowhere"), "There is no data set nowhere"),
        (("--start_weights", "nothing.pth"), "There is no file nothing.pth"),
        (("--rotation", "-3"), "rotation -3.0 is not an angle from 0 to 180 degrees"),
        (("--tiny_radius", "-1"), "--tiny_radius starts at 0"),
        (("--ignored_share", "7"), "--ignored_share lies from 0 to 1"),
        (("--warmup_steps", "1000"), "--warmup_steps 1000"),
        (("--tap_strides", "8,32"), "without a gap"),
        (("--neck_channels", "20"), "multiple of 16"),
    ],
)
def test_errors_are_one_sentence(tmp_path, scenes, capsys, more, message):
    assert run(lambda: script.main(arguments(tmp_path, scenes, *more))) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1]


def test_checkpoints_of_others_are_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    (tmp_path / "torn.pth").write_bytes(b"PK\x03\x04 and no more")
    for name, message in (("other", "no checkpoint of a detector"), ("torn", "torn"), ("absent", "no file")):
        with pytest.raises(InputError, match=message):
            load_detector(tmp_path / f"{name}.pth")


def test_a_dry_run_and_a_configuration_that_says_what_was_asked(tmp_path, scenes, capsys):
    assert script.main(arguments(tmp_path / "dry", scenes, "--dry_run")) == 0
    assert not (tmp_path / "dry").exists() and " for 3 epochs" in capsys.readouterr().err
    assert script.main(arguments(tmp_path / "wet", scenes, "--epochs", 1)) == 0
    assert json.loads((tmp_path / "wet/config.json").read_text())["options"]["unit"] == "deployed"


def test_it_leaves_in_time_and_ends_without_progress_and_the_log_says_what_its_figures_are(
    tmp_path, scenes, monkeypatch
):
    """Nothing is found with certainty: the first validation, after the second epoch, stays the best."""
    more = ("--score_threshold", 0.99, "--epochs", 9, "--val_interval", 2, "--patience", 2, "--keep_best", 2)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    if find_spec("mlflow"):
        more += ("--log", "mlflow")
    more += ("--print_freq", 1)
    assert script.main(arguments(tmp_path, scenes, *more, "--time_limit", "1e-9")) == 0
    assert torch.load(tmp_path / checkpoints.LATEST, weights_only=True)["step"] == 1
    assert not (tmp_path / "train_detection.done").exists()
    assert script.main(arguments(tmp_path, scenes, *more, "--auto_resume")) == 0
    best = [file.name for file in tmp_path.glob("best-params_*.pth")]
    kept = {name: torch.load(tmp_path / name, weights_only=True)["epoch"] for name in best}
    assert kept == {checkpoints.BEST: 1, "best-params_epoch2.pth": 1, "best-params_epoch4.pth": 3}
    if find_spec("mlflow"):
        from mlflow.tracking import MlflowClient

        client = MlflowClient(store)
        (run,) = client.search_runs([client.get_experiment_by_name("gsnet").experiment_id])
        for name, steps in (("train_loss", [1, 2, 3, 4]), ("val_AP", [2, 4]), ("best_AP_at_epoch", [4])):
            assert [m.step for m in client.get_metric_history(run.info.run_id, name)] == steps
    log = (tmp_path / "train_detection.log").read_text()
    assert "Nothing better for 2 epochs (patience): the training ends after 4 of 9 epochs" in log
    # No accuracy of positives, no best before anything was measured, and on which images it was measured.
    steps = [line for line in log.splitlines() if " step " in line and " loss " in line]
    assert steps and all(" positives " in line and "top-1" not in line for line in steps)
    first, last = (line for line in log.splitlines() if line.startswith(("epoch 1/9 loss", "epoch 2/9 loss")))
    assert "best AP" not in first and "best AP" in last
    assert "has no validation split: validation is on the training images" in log


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A YOLO folder with training and validation images, the latter of one class alone, and a truncated image."""
    folder = tmp_path_factory.mktemp("people")
    data = read_data_set(
        write_synthetic(folder / "drawn", SyntheticSettings(images=8, width=128, height=96, classes=2))
    )
    for i, scene in enumerate(data.scenes):
        split = "val" if i > 5 else "train"
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        scene.image.rename(folder / "images" / split / f"{i}.jpg")
        centres, sides = scene.boxes[:, :2] + scene.boxes[:, 2:] / 2, scene.boxes[:, 2:]
        boxes = np.concatenate([centres, sides], axis=1) / [128, 96, 128, 96]
        rows = [
            f"{label if split == 'train' else 0} " + " ".join(map(str, box))
            for label, box in zip(scene.labels, boxes, strict=True)
        ]
        (folder / "labels" / split / f"{i}.txt").write_text("\n".join(rows))
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [car, bus]")
    whole = (folder / "images/train/5.jpg").read_bytes()
    (folder / "images/train/broken.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


def test_splits_and_broken_images(tmp_path, people, capsys):
    assert run(lambda: script.main(arguments(tmp_path, people / "data.yaml", "--epochs", 1))) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "One image cannot be read" in said and "broken.jpg" in said and "--skip_broken 1" in said
    assert not (tmp_path / "log.csv").exists()
    (people / "labels/train/z.txt").write_text("0 .5 .5 .1 .1")
    more = ("--epochs", 1, "--skip_broken", 1, "--evaluate_only", "--classes", "car")
    assert script.main(arguments(tmp_path, people, *more)) == 0
    said = capsys.readouterr().err
    assert "on 2 images" in said and "Left out as broken, 1 of 9 images" in said
    assert "annotation files without an image, which are not used: 1 (z.txt)" in said
    assert "images without annotations: 1 (broken.jpg)" in said
