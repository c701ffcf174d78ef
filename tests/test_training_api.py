"""`gsnet.train`: the folders that the training scripts leave, from Python."""

import csv
import importlib
import json
import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import pandas
import pytest
import torch
from PIL import Image
from torch import nn

import gsnet
from gsnet.api.training_keywords import RENAMED, TeacherOptions, TrainingOptions
from gsnet.commands import train_image_classification, ts_train_image_classification
from gsnet.interface.logs import log_to
from gsnet.training.command_lines import options_without_teacher
from gsnet.training.distillation_options import add_distillation_options
from gsnet.training.options import parser

ROOT = Path(__file__).parent.parent
STRUCTURE = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)"
COLOURS = {"green": (20, 180, 20), "red": (200, 10, 10), "sky blue": (90, 160, 240)}
HOW = {"dataset": "image_folder", "workers": 0, "resolution": 8, "epochs": 2, "batch_size": 4, "lr": 0.05}
FLAGS = ["--dataset", "image_folder", "--workers", "0", "--input_image_size", "8", "--epochs", "2"]
FLAGS += ["--batch_size", "4", "--lr", "0.05"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colours")
    for name, colour in COLOURS.items():
        for split in ("train", "val"):
            (folder / split / name).mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (12, 8), colour).save(folder / split / name / f"{i}.png")
    return folder


def run(command, *flags):
    assert command.main(list(map(str, flags))) == 0
    # The log of this folder is closed, as at the end of the command's process.
    log_to()


@pytest.fixture(scope="module")
def by_command(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("by_command") / "run"
    how = ["--arch", STRUCTURE, "--data_dir", data, *FLAGS, "--nesterov", "--mixup", "--save_dir", folder]
    run(train_image_classification, *how)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The same from Python, and what it gave back."""
    folder = tmp_path_factory.mktemp("by_python") / "run"
    return gsnet.train(gsnet.parse(STRUCTURE), data_dir=data, save_dir=folder, nesterov=True, mixup=True, **HOW)


def rows(folder):
    with (folder / "log.csv").open() as lines:
        return [
            {name: text for name, text in row.items() if name != "images_per_second"} for row in csv.DictReader(lines)
        ]


def untimed(text):
    """Lines of a log without speeds and times, and without the folder's name."""
    return [re.sub(r" \([\d.]+ s\)$|, [\d,]+ images/s.*|(?<=weights are ).*", "", line) for line in text.splitlines()]


def check_same_folders(one, other, name):
    # Curves of TensorBoard have the time in their names.
    files = [{file.name for file in folder.iterdir()} for folder in (one, other)]
    assert files[0] == files[1]
    assert rows(one) == rows(other)
    states = [
        torch.load(folder / "best-params_rank0.pth", weights_only=True, map_location="cpu") for folder in (one, other)
    ]
    assert states[0]["description"] == states[1]["description"]
    assert all(torch.equal(value, states[1]["state_dict"][key]) for key, value in states[0]["state_dict"].items())
    configs = [json.loads((folder / "config.json").read_text()) for folder in (one, other)]
    for config in configs:
        del config["options"]["save_dir"], config["command"]
    assert configs[0] == configs[1]
    logs = [untimed((folder / f"{name}.log").read_text()) for folder in (one, other)]
    assert logs[0] == logs[1] and any(line.startswith("epoch 2/2") for line in logs[0])


def test_the_folder_is_the_commands(by_command, trained):
    check_same_folders(by_command, trained.folder, "train_image_classification")
    config = json.loads((trained.folder / "config.json").read_text())
    assert config["command"] == ["gsnet.train"]
    assert config["options"]["mixup"] > 0 and config["options"]["nesterov"] is True


def test_the_result_says_what_the_log_says(trained):
    assert trained.finished and trained.checkpoint == trained.folder / "best-params_rank0.pth"
    table = pandas.DataFrame(trained.history)
    written = pandas.read_csv(trained.folder / "log.csv")
    pandas.testing.assert_frame_equal(table.astype(float), written.astype(float))
    assert trained.top1 == written.val_acc1.max() == trained.best["val_acc1"]
    # Images were mixed, so that there is no accuracy in training.
    assert trained.history[0]["train_acc1"] is None and trained.history[1]["epoch"] == 1
    assert "2 epochs" in repr(trained)
    assert gsnet.validate(trained, workers=0).top1 == pytest.approx(trained.top1)


def test_what_is_finished_is_not_trained_again_and_more_epochs_go_on(data, tmp_path):
    how = {**HOW, "data_dir": data, "save_dir": tmp_path / "run", "epochs": 1}
    first = gsnet.train(STRUCTURE, **how)
    before = first.checkpoint.stat().st_mtime_ns
    assert gsnet.train(STRUCTURE, **how).history == first.history
    assert first.checkpoint.stat().st_mtime_ns == before
    with pytest.raises(gsnet.InputError, match="go on to 2 with auto_resume=True"):
        gsnet.train(STRUCTURE, **how | {"epochs": 2})
    longer = gsnet.train(STRUCTURE, **how | {"epochs": 2}, auto_resume=True)
    assert longer.history[0] == first.history[0] and len(longer.history) == 2 and longer.finished


def test_what_is_over_time_is_told_by_the_result(data, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        found = gsnet.train(STRUCTURE, data_dir=data, save_dir=tmp_path / "run", time_limit=1e-6, **HOW)
    assert (found.finished, found.history, found.top1, found.checkpoint) == (False, (), None, None)
    assert "auto_resume=True goes on from here" in caplog.text


def test_a_teacher_teaches_as_by_its_command(data, trained, tmp_path):
    flags = ["--arch", STRUCTURE, "--data_dir", data, *FLAGS, "--teacher_logit_weight", "1"]
    flags += ["--teacher_load_parameters_from", trained.folder, "--save_dir", tmp_path / "command"]
    run(ts_train_image_classification, *flags)
    found = gsnet.train(
        STRUCTURE, teacher=trained, teacher_logit_weight=1, data_dir=data, save_dir=tmp_path / "python", **HOW
    )
    check_same_folders(tmp_path / "command", found.folder, "ts_train_image_classification")
    assert (found.folder / "student_best-params_rank0.pth").exists() and found.finished


def test_nothing_is_written_by_what_only_tells(trained, data, tmp_path):
    how = {**HOW, "data_dir": data, "save_dir": tmp_path / "run"}
    told = gsnet.train(start_from=trained.folder, evaluate_only=True, **how)
    assert told.report["top1"] == pytest.approx(trained.top1) and told.report["images"] == 12
    tried = gsnet.train(STRUCTURE, dry_run=True, **how)
    assert tried.report["seconds"] > tried.report["seconds_per_epoch"] > 0 and tried.history == ()
    assert list(tmp_path.iterdir()) == []


class Kept(logging.Handler):
    """Keeps what it is shown."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.mark.parametrize("level", [logging.WARNING, logging.INFO])
def test_a_programs_logging_and_random_numbers_stay_its_own(level, data, tmp_path, capsys, monkeypatch):
    root, kept = logging.getLogger(), Kept()
    monkeypatch.setattr(root, "handlers", [kept])
    monkeypatch.setattr(root, "level", level)
    logging.getLogger("gsnet").manager._clear_cache()
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    found = gsnet.train(STRUCTURE, data_dir=data, save_dir=tmp_path / "run", **HOW | {"epochs": 1})
    assert torch.rand(1) == wanted
    epochs = [line for line in kept.lines if line.startswith("epoch 1/1")]
    assert len(epochs) == (level == logging.INFO)
    assert "epoch 1/1" in (found.folder / "train_image_classification.log").read_text()
    assert root.handlers == [kept] and logging.getLogger("gsnet").handlers == []
    assert logging.getLogger("gsnet").level == logging.NOTSET and logging.getLogger("gsnet").propagate
    captured = capsys.readouterr()
    assert captured.out == "" and "epoch" not in captured.err


def test_trainings_of_threads_are_what_each_is_alone(data, tmp_path):
    def train(name, seed):
        found[name] = gsnet.train(STRUCTURE, data_dir=data, save_dir=tmp_path / name, seed=seed, **HOW | {"epochs": 1})

    found = {}
    train("alone", 1)
    threads = [threading.Thread(target=train, args=(f"thread {seed}", seed)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    losses = {name: result.history[0]["train_loss"] for name, result in found.items()}
    assert losses["thread 1"] == losses["alone"] != losses["thread 0"]


def test_options_of_files_give_way_to_keywords(tmp_path):
    given = {"arch": STRUCTURE, "dataset": "cifar10", "save_dir": tmp_path / "run", "recipe": "cifar"}
    taken = options_without_teacher("", given)
    file = tmp_path / "mine.toml"
    file.write_text(f"recipe = 'cifar'\nepochs = {taken.epochs + 1}\nwarmup = 3\n")
    own = options_without_teacher("", given | {"recipe": None, "config": file, "nesterov": False, "warmup": 2})
    assert taken.nesterov is True and own.nesterov is False
    assert (own.epochs, own.warmup, own.weight_init) == (taken.epochs + 1, 2, taken.weight_init)


def test_a_class_of_a_programs_own_is_a_network_by_itself(data, tmp_path, monkeypatch):
    (tmp_path / "my_network.py").write_text(
        "from torch import nn\nclass Mine(nn.Sequential):\n    def __init__(self, num_classes=10):\n"
        "        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("my_network").Mine
    by_class = gsnet.train(mine, data_dir=data, save_dir=tmp_path / "one", **HOW)
    by_name = gsnet.train(f"{tmp_path / 'my_network.py'}:Mine", data_dir=data, save_dir=tmp_path / "two", **HOW)
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    assert by_class.best["val_loss"] == pytest.approx(gsnet.validate(mine, weights=by_class, workers=0).loss)
    assert gsnet.export(mine, tmp_path / "mine.pt", weights=by_name, format="torchscript").input["classes"] == 3
    assert gsnet.Classifier.load(mine, weights=by_name)(data / "val" / "red" / "0.png").class_names == tuple(COLOURS)

    class Here(nn.Module):
        pass

    for own, sentence in ((Here, "Here stands in no file of its own"), (nn.Flatten, "Flatten is of the package torch")):
        with pytest.raises(gsnet.InputError, match=sentence):
            gsnet.train(own, data_dir=data, save_dir=tmp_path / "three", **HOW)


def test_what_is_evaluated_has_the_weights_that_are_meant(trained, data, tmp_path):
    how = {**HOW, "data_dir": data, "save_dir": tmp_path, "evaluate_only": True}
    with pytest.raises(gsnet.InputError, match="not its weights: evaluate these with start_from in its place"):
        gsnet.train(trained, **how)
    assert gsnet.train(start_from=trained.folder, **how).report["top1"] == pytest.approx(trained.top1)


def test_a_file_of_options_that_is_missing_is_told(data, tmp_path):
    with pytest.raises(gsnet.InputError, match=r"nope\.toml: No such file"):
        gsnet.train(STRUCTURE, config=tmp_path / "nope.toml", **HOW, data_dir=data, save_dir=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_training_stands_for_its_weights(trained, data, tmp_path):
    picture = data / "val" / "green" / "0.png"
    by_path = gsnet.Classifier.load(trained.folder)(picture)
    for named in (trained, gsnet.load(trained)):
        assert gsnet.Classifier.load(named)(picture).probabilities.tolist() == by_path.probabilities.tolist()
    how = {**HOW, "data_dir": data, "save_dir": tmp_path, "evaluate_only": True}
    for named in (trained, gsnet.load(trained)):
        assert gsnet.train(start_from=named, **how).report["top1"] == pytest.approx(trained.top1)


def test_a_training_and_what_is_loaded_are_networks_everywhere(trained, monkeypatch):
    loaded = gsnet.load(trained)
    assert gsnet.parse(trained) == gsnet.parse(loaded) == gsnet.parse(STRUCTURE)
    folder = gsnet.analyze(trained.folder)
    assert gsnet.analyze(trained) == gsnet.analyze(loaded) == folder
    # Its own images and classes, not a bare structure's.
    assert folder != gsnet.analyze(STRUCTURE)
    scores = {gsnet.score(one, "Flops") for one in (trained, loaded, trained.folder)}
    assert len(scores) == 1 and scores != {gsnet.score(STRUCTURE, "Flops")}
    found = gsnet.compare(trained, loaded, trained.folder, proxies="Flops")
    assert len(set(found["Flops"])) == 1 and not any(found["error"])
    # Its page tells of the training, too.
    assert found.trainings


def test_what_shows_errors_stays_as_the_program_has_it():
    code = "import sys, gsnet; before = sys.excepthook; gsnet.train, gsnet.validate, gsnet.export, gsnet.Detector; "
    code += "import gsnet.training.command, gsnet.validation.command, gsnet.detection.validation_command; "
    subprocess.run([sys.executable, "-c", code + "sys.exit(sys.excepthook is not before)"], check=True, cwd=ROOT)


def test_every_flag_of_both_commands_is_a_keyword():
    described = parser("")
    add_distillation_options(described)
    names = {
        name.lstrip("-").replace("-", "_"): action.dest
        for action in described._actions
        for name in action.option_strings
    }
    # What is accepted and does nothing is none.
    flags = {name for name, dest in names.items() if dest not in ("help", "retired")} - set(RENAMED)
    assert flags == set(TrainingOptions.__annotations__)
    assert {name for name in flags if name.startswith(("teacher", "ts_"))} <= set(TeacherOptions.__annotations__)


@pytest.mark.parametrize(
    ("network", "options", "sentence"),
    [
        (STRUCTURE, {"save_dir": None}, "^the following arguments are required: save_dir$"),
        (STRUCTURE, {"epochs": 0}, "^epochs: "),
        (STRUCTURE, {"epochs": "many"}, "^epochs: "),
        (STRUCTURE, {"fp16": "yes"}, "^fp16 is 'yes': it must be True or False$"),
        (STRUCTURE, {"lr_per_256": 0.2}, "^lr_per_256 does nothing beside lr: leave it out$"),
        (STRUCTURE, {"sync_bn": True}, "^sync_bn=True does nothing in the one process of dist_mode cpu"),
        (STRUCTURE, {"train_crop_size": 16}, "^train_crop_size 16 is larger than resolution 8"),
        (STRUCTURE, {"data_dir": "nowhere"}, "nowhere"),
        (STRUCTURE, {"recipe": "none"}, "^There is no recipe 'none'"),
        (STRUCTURE, {"optimizer": {"name": "sgd"}}, "^optimizer is .*: an option is a number, a text"),
        (None, {}, "^Name a network: by network, or by start_from"),
        ("missing/folder", {}, "There is no file or folder missing/folder"),
        (
            nn.Flatten(),
            {},
            "^A training builds its network itself: give a name, or a class of your own that makes it, in a file$",
        ),
        (
            STRUCTURE,
            {"teacher": nn.Flatten(), "teacher_logit_weight": 1},
            "^A training builds its teacher itself: give a name, or a class of your own that makes it, in a file, and as "
            "teacher_load_parameters_from the file of its weights",
        ),
        (STRUCTURE, {"teacher": "missing.pth", "teacher_logit_weight": 1}, "There is no network 'missing.pth'"),
        (STRUCTURE, {"teacher": STRUCTURE, "teacher_untrained": True}, "the teacher teaches nothing"),
        (STRUCTURE, {"teacher_logit_weight": 1}, "teacher_pretrained=True"),
    ],
)
def test_wrong_input_is_one_sentence_of_python_and_nothing_is_left(
    network, options, sentence, data, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    how = {**HOW, "data_dir": data, "save_dir": tmp_path / "run"}
    with pytest.raises(gsnet.InputError, match=sentence):
        gsnet.train(network, **how | options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "meant"), [("imgsz", "resolution"), ("batch", "batch_size"), ("opt", "optimizer")])
def test_an_option_that_there_is_not_is_a_type_error(name, meant):
    with pytest.raises(TypeError, match=f"A training has no option '{name}'; did you mean {meant}\\?"):
        gsnet.train(STRUCTURE, **{name: 1})


def test_a_training_that_fails_says_so_in_words_of_python(data, tmp_path):
    with pytest.raises(gsnet.TrainingFailed, match="The loss is no longer a number"):
        gsnet.train(STRUCTURE, data_dir=data, save_dir=tmp_path / "run", **HOW | {"lr": 1e30, "epochs": 20})
