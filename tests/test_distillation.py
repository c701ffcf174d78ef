"""Distillation: losses worked out by hand, maps of every kind of network, and whole runs of the script."""

import math
import shutil

import pytest
import torch
from torch import nn

from gsnet.commands import train_image_classification
from gsnet.commands import ts_train_image_classification as script
from gsnet.data.settings import IMAGENET_MEAN, IMAGENET_STD
from gsnet.interface.description import NetworkDescription
from gsnet.interface.options import InputError
from gsnet.models import load_model
from gsnet.training import command, distillation_command
from gsnet.training.distillation import Distillation, DistillationSettings, Renormalise, projection
from gsnet.training.features import map_shapes, stage_features
from gsnet.training.losses import soft_cross_entropy, teacher_feature_loss, teacher_logit_loss
from gsnet.training.teacher_cache import TeacherCache
from Masternet import MasterNet

STRUCTURE = "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,1)SuperResK3K3(16,24,2,8,1)"
BASE = ["--dataset", "fake", "--input_image_size", "16", "--num_classes", "10", "--workers_per_gpu", "0"]
NETWORK = ["--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--weight_init", "custom"]
TEACHER = ["--teacher_arch", "PlainNet", "--teacher_plainnet_struct", STRUCTURE.replace("24", "32")]
BOTH = ["--teacher_feature_weight", "1", "--teacher_logit_weight", "1", "--target_downsample_ratio", "4"]


def network(structure=STRUCTURE, classes=10):
    torch.manual_seed(0)
    built = MasterNet(num_classes=classes, plainnet_struct=structure)
    built.init_parameters()
    return built


def arguments(folder, *more, teacher=TEACHER):
    return [
        *BASE,
        *NETWORK,
        *teacher,
        "--epochs",
        "1",
        "--batch_size",
        "64",
        "--save_dir",
        str(folder),
        *map(str, more),
    ]


def test_logit_loss_by_hand():
    # Teacher's probabilities 1/4, 3/4; the student's are equal, so each log probability is -log 2.
    teacher, student = torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 2)
    assert float(teacher_logit_loss(student, teacher)) == pytest.approx(math.log(2))
    # The student's are 4/5, 1/5: -(1/4 log 4/5 + 3/4 log 1/5).
    student = torch.tensor([[math.log(4), 0.0]])
    assert float(teacher_logit_loss(student, teacher)) == pytest.approx(1.2628643, abs=1e-6)


def test_temperature_by_hand():
    # Temperature 2: logits (0, log 9) become (0, log 3), the student's (log 16, 0) become (log 4, 0); times 2 squared.
    teacher, student = torch.tensor([[0.0, math.log(9)]]), torch.tensor([[math.log(16), 0.0]])
    assert float(teacher_logit_loss(student, teacher, 2.0)) == pytest.approx(4 * 1.2628643, abs=1e-5)


def test_feature_loss_by_hand():
    # Distances 0.5 and 3: 0.125 and 2.5, mean 1.3125. Clipped to 2 the second is 2: 1.5, mean 0.8125.
    own, teacher = torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.5, -3.0]]]])
    assert float(teacher_feature_loss(own, teacher)) == pytest.approx(1.3125)
    assert float(teacher_feature_loss(own, teacher, clip=2.0)) == pytest.approx(0.8125)


def test_a_larger_teacher_s_map_is_interpolated():
    # Bilinear halving takes the mean of each 2 x 2: 2 and 4; the student's 2 and 3 differ by 0 and 1.
    teacher = torch.tensor([[[[1.0, 3.0, 4.0, 4.0], [1.0, 3.0, 4.0, 4.0]]]])
    own = torch.tensor([[[[2.0, 3.0]]]])
    assert float(teacher_feature_loss(own, teacher)) == pytest.approx(0.25)


@pytest.mark.parametrize("bn", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_projections(bn, relu):
    torch.manual_seed(0)
    layers = list(projection(64, 128, bn, relu))
    assert [type(layer) for layer in layers] == [nn.Conv2d, *[nn.BatchNorm2d] * bn, *[nn.ReLU] * relu]
    assert float(layers[0].weight.detach().std()) == pytest.approx(1e-4 / math.sqrt(128), rel=0.02)
    assert layers[0].bias.tolist() == [0] * 128 and (not bn or layers[1].eps == 1e-3)


def test_the_whole_loss_is_the_sum_of_its_parts():
    settings = DistillationSettings(2.0, 3.0, 4, 1.5, 0.3, False, False, 16, 16)
    task = Distillation(network(), network(STRUCTURE.replace("24", "32")), settings).train()
    images, targets = torch.randn(4, 3, 16, 16), torch.eye(10)[:4]
    torch.nn.init.normal_(task.projections[0][0].weight)
    teacher_logits, *maps = task.guidance(images, (0, 0, 0))
    assert [m.shape[1] for m in maps] == [16, 32] and len(task.projections) == 2
    loss, logits = task(images, targets, teacher_logits, *maps)
    own = network()
    own.load_state_dict(task.network.state_dict())
    stages, _ = own.train().extract_stage_features_and_logit(images, 4)
    expected = soft_cross_entropy(logits, targets) + 3 * teacher_logit_loss(logits, teacher_logits, 1.5)
    for i in range(2):
        expected = expected + 2 * teacher_feature_loss(task.projections[i](stages[i]), maps[i], 0.3)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_a_teacher_is_frozen_and_stays_in_evaluation_mode():
    task = Distillation(network(), network(), DistillationSettings(1.0, 1.0, 4, student_side=16, teacher_side=16))
    assert task.train() is task and task.network.training and task.projections.training and not task.teacher.training
    before = {name: value.clone() for name, value in task.teacher.state_dict().items()}
    images = torch.randn(4, 3, 16, 16)
    task(images, torch.eye(10)[:4], *task.guidance(images, (0, 0, 0)))[0].backward()
    assert all(torch.equal(value, before[name]) for name, value in task.teacher.state_dict().items())
    assert all(p.grad is None for p in task.teacher.parameters())
    assert all(p.grad is not None for p in task.trained.parameters())


@pytest.mark.parametrize(
    ("arch", "side", "channels"),
    [("resnet18", 64, [256, 512]), ("mobilenet_v2", 64, [96, 1280]), ("densenet121", 64, [1024, 1024])],
)
def test_maps_of_torchvision_s_networks(arch, side, channels):
    """Channels are those that the papers' tables give for the last block at 1/16 and 1/32."""
    built = load_model(arch, num_classes=10)
    features = stage_features(built, 16, side)
    assert [shape[1] for shape in map_shapes(features, side)] == channels
    images = torch.randn(2, 3, side, side)
    features.eval()
    assert torch.allclose(features(images)[1], built(images))
    features.train()(images)[1].sum().backward()
    assert all(p.grad is not None for p in built.parameters())


def test_maps_of_timm_s_networks():
    pytest.importorskip("timm", reason="timm is not installed")
    built = load_model("geffnet_tf_efficientnet_b0", num_classes=10).eval()
    features = stage_features(built, 16, 64).eval()
    images = torch.randn(1, 3, 64, 64)
    maps, logits = features(images)
    assert [m.shape[1:] for m in maps] == [(112, 4, 4), (320, 2, 2)]
    assert torch.allclose(logits, built(images))


def test_images_are_renormalised():
    pixels = torch.tensor([0.2, 0.5, 0.8])[None, :, None, None]
    given, expected = ((0.1, 0.2, 0.3), (0.5, 0.4, 0.2)), ((0.5, 0.5, 0.5), (0.25, 0.25, 0.5))
    normalised = (pixels - torch.tensor(given[0])[:, None, None]) / torch.tensor(given[1])[:, None, None]
    assert Renormalise(given, expected)(normalised).flatten().tolist() == pytest.approx([-1.2, 0.0, 0.6], abs=1e-6)


def test_the_cache_asks_once_and_mistrusts_torn_rows(tmp_path):
    asked = []

    def compute(value):
        asked.append(value)
        return torch.full((2, 3), value)

    def cache(seed=0):
        return TeacherCache(tmp_path, {"seed": seed}, steps=2, batch_size=4, classes=3)

    images = torch.zeros(2, 3, 8, 8)
    assert cache().logits((0, 1, 2), images, lambda: compute(0.1)).tolist() == [[pytest.approx(0.1, abs=1e-4)] * 3] * 2
    first = cache().logits((0, 1, 2), images, lambda: compute(9.0))
    assert asked == [0.1] and float(first[0, 0]) == float(torch.tensor(0.1).half())
    cache().logits((0, 1, 0), images, lambda: compute(1.0))
    cache().logits((1, 1, 2), images, lambda: compute(2.0))
    cache(seed=1).logits((0, 1, 2), images, lambda: compute(3.0))
    assert asked == [0.1, 1.0, 2.0, 3.0]
    file = next(
        f for f in tmp_path.glob("*/epoch_0000_rank0.bin") if '"seed": 0' in (f.parent / "settings.json").read_text()
    )
    content = bytearray(file.read_bytes())
    content[6 * 10] ^= 1  # a bit of row 6, of ten bytes
    file.write_bytes(content)
    cache().logits((0, 1, 2), images, lambda: compute(4.0))
    assert asked[-1] == 4.0


def test_the_cache_tells_epochs_processes_and_parts_of_a_batch_apart(tmp_path):
    asked = []

    def told(cache, place, images):
        def compute():
            asked.append((cache.rank, *place))
            return torch.arange(3.0 * images).view(images, 3) + 100 * place[0] + 10 * place[1] + cache.rank

        expected = torch.arange(3.0 * images).view(images, 3) + 100 * place[0] + 10 * place[1] + cache.rank
        assert torch.equal(cache.logits(place, torch.zeros(images, 3, 8, 8), compute), expected), place

    first, second = (TeacherCache(tmp_path, {}, steps=3, batch_size=4, classes=3, rank=rank) for rank in (0, 1))
    places = [(epoch, step, 0) for epoch in (0, 1, 0, 2) for step in (0, 1, 2)]
    for _ in range(2):
        for place in places:
            told(first, place, 4)
            told(second, place, 4)
    # Each once: an epoch that comes back is known.
    assert sorted(asked) == sorted({(rank, *place) for rank in (0, 1) for place in places})
    asked.clear()
    told(first, (5, 1, 0), 2)
    # Half of these were asked about.
    told(first, (5, 1, 0), 4)
    assert asked == [(0, 5, 1, 0)] * 2


def test_a_run_with_a_teacher_from_a_file(tmp_path, capsys):
    """The teacher is trained first; another teacher's weights give another student, the same ones the same."""
    own = ["--arch", "PlainNet", "--plainnet_struct", STRUCTURE.replace("24", "32")]
    trained = [
        *BASE,
        *own,
        "--epochs",
        "1",
        "--batch_size",
        "128",
        "--lr",
        "0.5",
        "--save_dir",
        str(tmp_path / "teacher"),
    ]
    assert train_image_classification.main(trained) == 0
    # The folder means its best checkpoint.
    weights = ["--teacher_load_parameters_from", str(tmp_path / "teacher")]
    assert script.main(arguments(tmp_path / "a", *BOTH, *weights)) == 0
    assert script.main(arguments(tmp_path / "b", *BOTH, "--teacher_untrained")) == 0
    logits = ["--teacher_logit_weight", "1", "--teacher_cache", tmp_path / "cache"]
    assert script.main(arguments(tmp_path / "c", *logits, *weights)) == 0
    assert script.main(arguments(tmp_path / "d", *logits, *weights)) == 0
    states = {
        name: torch.load(tmp_path / name / "student_best-params_rank0.pth", weights_only=True)["state_dict"]
        for name in "abcd"
    }
    assert states["a"].keys() == network().state_dict().keys()
    assert not torch.equal(states["a"]["fc_linear.netblock.weight"], states["b"]["fc_linear.netblock.weight"])
    assert all(torch.equal(states["c"][name], states["d"][name]) for name in states["c"])
    # A student goes on from another one's folder; a rate of nothing leaves its weights.
    begin = ["--start_from", tmp_path / "a", "--weight_init", "None", "--lr", 1e-30, "--wd", 0, "--fake_images", 64]
    begin += ["--teacher_logit_weight", "1", "--teacher_cache", tmp_path / "folders"]
    teacher = ["--teacher_arch", str(tmp_path / "teacher"), "--teacher_pretrained"]
    assert script.main(arguments(tmp_path / "e", *begin, teacher=teacher)) == 0
    begun = torch.load(tmp_path / "e/student_best-params_rank0.pth", weights_only=True)["state_dict"]
    kernels = [key for key, value in begun.items() if value.dim() > 1]
    assert kernels and all(torch.equal(begun[key], states["a"][key]) for key in kernels)
    # Of other classes the student's classifier starts anew, and learns from the teacher's maps.
    others = ["--num_classes", 3, "--teacher_feature_weight", 1, "--target_downsample_ratio", 4, "--dry_run"]
    assert script.main(arguments(tmp_path / "none", *begin[:4], *others, teacher=teacher)) == 0
    assert "the classifier starts anew, with 3 classes instead of 10" in capsys.readouterr().err
    # Another file in the teacher's folder is another teacher, whose logits were not kept.
    shutil.copy(tmp_path / "teacher/latest-params_rank0.pth", tmp_path / "teacher/best-params_rank0.pth")
    assert script.main(arguments(tmp_path / "f", *begin, teacher=teacher)) == 0
    assert len(list((tmp_path / "folders").iterdir())) == 2
    files = {file.name for file in (tmp_path / "a").iterdir()}
    assert {"latest-params_rank0.pth", "ts_train_image_classification.done", "runs", "curves.png"} <= files


def test_a_teacher_whose_code_has_changed_is_asked_anew(tmp_path):
    """Its name and its weights are the same: what was kept is of another network."""
    code = (
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n    def __init__(self, num_classes):\n        super().__init__("
        "nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))\n"
    )
    file, cache = tmp_path / "mine.py", tmp_path / "cache"
    teacher = ["--teacher_arch", f"{file}:Net", "--teacher_untrained"]
    options = ["--teacher_logit_weight", "1", "--teacher_cache", cache, "--fake_images", 64]
    for number, changed in enumerate((code, code, code.replace("nn.ReLU()", "nn.Hardswish()"))):
        file.write_text(changed)
        assert script.main(arguments(tmp_path / str(number), *options, teacher=teacher)) == 0
        assert len(list(cache.iterdir())) == (2 if number == 2 else 1)
    # What it says in another format is another word, too.
    for number, dtype in enumerate(("bfloat16", "float16")):
        more = ["--fp16", "--amp_dtype", dtype]
        assert script.main(arguments(tmp_path / dtype, *options, *more, teacher=teacher)) == 0
        assert len(list(cache.iterdir())) == 3 + number


def test_a_teacher_is_asked_anew_about_other_images_in_the_same_folder(tmp_path, noise_images):
    """One picture more, and one in the place of another, leave an epoch as long as it was."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    shutil.copytree(noise_images, data)
    first = min((data / "train").rglob("*.png"))
    options = ["--dataset", "image_folder", "--data_dir", data, "--batch_size", 16, "--teacher_untrained"]
    options += ["--teacher_logit_weight", "1", "--teacher_cache", cache]
    for number, folders in enumerate((1, 1, 2, 3)):
        if number == 2:
            shutil.copy(first, first.with_name("more.png"))
        if number == 3:
            first.write_bytes(max(data.rglob("*.png"), key=lambda file: file.stat().st_size).read_bytes() + b"\0")
        assert script.main(arguments(tmp_path / str(number), *options)) == 0
        assert len(list(cache.iterdir())) == folders


def test_a_teacher_s_checkpoint_says_how_images_reach_it(tmp_path, monkeypatch):
    made = []

    class Noted(Distillation):
        def __init__(self, *given):
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(distillation_command, "Distillation", Noted)
    structure = STRUCTURE.replace("24", "32")
    values = {"structure": structure, "resolution": 24, "classes": 10, "bn_eps": 0.01, "bn_momentum": 0.1}
    told = NetworkDescription(**values, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.5))
    file = tmp_path / "teacher.pth"
    torch.save({"state_dict": network(structure).state_dict(), "description": told.to_dict()}, file)
    weights = ["--teacher_load_parameters_from", file, "--dry_run"]
    assert script.main(arguments(tmp_path / "none", *BOTH, *weights)) == 0
    # Without --teacher_arch it is the network that the file names.
    assert script.main(arguments(tmp_path / "none", *BOTH, *weights, teacher=[])) == 0
    task, named = made
    assert named.settings == task.settings
    assert all(torch.equal(value, named.teacher.state_dict()[key]) for key, value in task.teacher.state_dict().items())
    assert task.settings.teacher_side == 24
    assert {layer.eps for layer in task.teacher.modules() if isinstance(layer, nn.BatchNorm2d)} == {0.01}
    # What is 0.5 of a pixel is 0 to this teacher, whatever constants the student's images have.
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    grey = (torch.full((1, 3, 2, 2), 0.5) - mean) / std
    assert task.prepare(grey).abs().max() < 1e-6
    # One that does not say it sees what the student sees, whichever option names its weights.
    torch.save(
        {"state_dict": network(structure).state_dict(), "description": NetworkDescription(**values).to_dict()}, file
    )
    for named_by in (["--teacher_load_parameters_from", file], ["--teacher_arch", file, "--teacher_pretrained"]):
        assert script.main(arguments(tmp_path / "none", *BOTH, "--dry_run", *named_by, teacher=[])) == 0
        assert isinstance(made[-1].prepare, nn.Identity)


def test_a_teacher_that_sees_larger_images(tmp_path):
    teacher = ["--teacher_arch", "resnet18", "--teacher_untrained", "--teacher_input_image_size", "32"]
    assert script.main(arguments(tmp_path / "none", *BOTH, "--dry_run", teacher=teacher)) == 0
    assert not (tmp_path / "none").exists()


def test_a_teacher_that_cannot_look_at_the_images(tmp_path):
    teacher = ["--teacher_arch", "densenet121", "--teacher_untrained", "--teacher_logit_weight", "1"]
    with pytest.raises(InputError, match=r"^The teacher densenet121 cannot run on an image of .* 16 x 16 pixels"):
        script.main(arguments(tmp_path / "none", teacher=teacher))
    assert not (tmp_path / "none/latest-params_rank0.pth").exists()


@pytest.mark.parametrize("look", ["--dry_run", "--evaluate_only"])
def test_looking_writes_no_cache(tmp_path, look):
    logits = ("--teacher_untrained", "--teacher_logit_weight", 1, "--teacher_cache", tmp_path / "cache")
    assert script.main(arguments(tmp_path / "none", *logits, look)) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--teacher_untrained"], "teaches nothing"),
        (["--teacher_untrained", *BOTH, "--teacher_cache", "x"], "logits alone"),
        (["--teacher_untrained", *BOTH, "--teacher_num_classes", "7"], "7 classes, the student 10"),
        (["--teacher_untrained", *BOTH[:-1], "64"], "no map at the down-sampling ratio 64"),
    ],
)
def test_errors_are_one_sentence(tmp_path, more, message, monkeypatch):
    """And come before any picture is looked at."""
    looked_at = []
    monkeypatch.setattr(command, "check_images", lambda *_: looked_at.append(1))
    with pytest.raises(InputError, match=message):
        script.main(arguments(tmp_path, *more))
    assert not looked_at


def test_a_teacher_that_nobody_names(tmp_path):
    with pytest.raises(InputError, match="--teacher_arch is required"):
        script.main(arguments(tmp_path, *BOTH, "--teacher_untrained", teacher=[]))
    torch.save({"state_dict": network().state_dict()}, tmp_path / "weights.pth")
    for name, message in (("weights.pth", "name its network with --teacher_arch"), ("none.pth", "There is no file")):
        weights = ["--teacher_load_parameters_from", tmp_path / name]
        with pytest.raises(InputError, match=message):
            script.main(arguments(tmp_path, *BOTH, *weights, teacher=[]))


def test_a_teacher_needs_weights(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        script.main(arguments(tmp_path, *BOTH))
    assert end.value.code == 2 and "--teacher_pretrained" in capsys.readouterr().err


def test_networks_that_cannot_be_traced_are_named():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Conv2d(3, 4, 3, 4, 1)

        def forward(self, x):
            return self.block(x).mean((2, 3)) if x.sum() > 0 else self.block(-x).mean((2, 3))

    with pytest.raises(InputError, match="Branching cannot be traced"):
        stage_features(Branching(), 4, 16)


def test_the_published_recipe_runs_two_batches(tmp_path):
    """The ImageNet recipe of the published scripts, on noise and at smaller sides; the weights cannot be had here."""
    pytest.importorskip("timm", reason="timm is not installed")
    structure = tmp_path / "best_structure.txt"
    structure.write_text("SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,16,8,8,1)SuperResIDWE6K3(16,16,2,8,1)")
    recipe = f"""
        --workers_per_gpu 0 --arch Masternet.py:MasterNet --plainnet_struct_txt {structure} --use_se --nesterov
        --bn_momentum 0.01 --wd 4e-5 --weight_init custom --label_smoothing --random_erase --mixup --auto_augment
        --lr_per_256 0.1 --target_lr_per_256 0.0 --lr_mode cosine --optimizer sgd --epochs 480 --warmup 5
        --teacher_arch geffnet_tf_efficientnet_b3_ns --teacher_feature_weight 1.0 --teacher_logit_weight 1.0
        --ts_proj_no_relu --ts_proj_no_bn --target_downsample_ratio 16 --batch_size_per_gpu 4 --num_classes 1000
        --teacher_input_image_size 96 --input_image_size 64 --dataset fake --teacher_untrained --dist_mode cpu
    """
    assert script.main([*recipe.split(), "--save_dir", str(tmp_path / "none"), "--dry_run"]) == 0
