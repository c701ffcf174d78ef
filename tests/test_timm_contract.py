"""What timm's tools, and heads of others, ask of our networks, asked by timm itself."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import PlainNet
import ZenNet
from gsnet.interface.description import NetworkDescription
from gsnet.interface.options import InputError
from gsnet.models.publishing import write_folder
from Masternet import MasterNet
from PlainNet import StructureError, Style

timm = pytest.importorskip("timm", reason="timm is not installed")

# Residual, inverted residual and ghost units; maps at strides 2, 4, 8 and 16; a tail that serves the classifier.
STRUCTURE = (
    "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,2)SuperResIDWE2K3(16,24,2,16,1)"
    "SuperGhostShuffleK3(24,32,2,16,2)SuperConvK1BNRELU(32,64,1,1)"
)
CIFAR = "zennet_cifar10_model_size05M_res32"


@pytest.fixture(autouse=True, scope="module")
def names():
    return ZenNet.register_with_timm()


def create(**options):
    torch.manual_seed(0)
    return timm.create_model("gsnet", structure=STRUCTURE, **options)


def images(side=64, channels=3, number=2):
    return torch.randn(number, channels, side, side, generator=torch.Generator().manual_seed(1))


def test_names_and_their_configurations(names):
    assert names == [*ZenNet.list_models(), "gsnet"]
    assert set(names) <= set(timm.list_models())
    assert set(ZenNet.list_models("zennet_*")) <= set(timm.list_pretrained())
    for name in ZenNet.list_models():
        entry, cfg = ZenNet.published(name), timm.get_pretrained_cfg(name)
        assert (cfg.input_size, cfg.num_classes) == ((3, entry.resolution, entry.resolution), entry.classes)
        assert cfg.pool_size == (PlainNet.parse(entry.structure).output_size(entry.resolution),) * 2
    network = timm.create_model("zennet_cifar100_model_size05M_res32")
    # CIFAR's own figures, and no border cut off.
    assert timm.data.resolve_model_data_config(network) == {
        "input_size": (3, 32, 32),
        "interpolation": "bicubic",
        "mean": (0.4914, 0.4822, 0.4465),
        "std": (0.2023, 0.1994, 0.2010),
        "crop_pct": 1.0,
        "crop_mode": "center",
    }
    imagenet = timm.get_pretrained_cfg("zennet_imagenet1k_flops400M_SE_res224")
    assert (imagenet.mean, imagenet.std) == (timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD)
    assert imagenet.crop_pct == 0.875


@pytest.mark.parametrize("name", [CIFAR, "gsnet"])
def test_heads_as_timm_tests_them(name):
    """The steps of timm's own tests of every model (its tests/test_models.py)."""
    options = {"structure": STRUCTURE} if name == "gsnet" else {}
    overlay = {"input_size": (3, 64, 64), "pool_size": (4, 4)} if name == "gsnet" else None
    network = timm.create_model(name, pretrained_cfg_overlay=overlay, **options)
    assert network.training
    network.eval()
    cfg = network.default_cfg
    batch = images(cfg["input_size"][-1])
    state = network.state_dict()
    assert cfg["classifier"] + ".weight" in state
    assert cfg["first_conv"] + ".weight" in state
    last = network.forward_features(batch)
    assert last.shape == (2, network.num_features, *cfg["pool_size"])
    pooled = network.forward_head(last, pre_logits=True)
    assert pooled.shape == (2, network.head_hidden_size)
    logits = network(batch)
    assert torch.equal(logits, network.forward_head(last))
    assert torch.equal(logits, network.get_classifier()(pooled))
    assert isinstance(network.get_classifier(), nn.Linear)
    network.reset_classifier(0)
    assert network.num_classes == 0
    assert torch.equal(network(batch), pooled)
    network.reset_classifier(0, "")
    assert torch.equal(network(batch), last)
    assert cfg["classifier"] + ".weight" not in network.state_dict()
    network.reset_classifier(7, "avg")
    assert network(batch).shape == (2, 7)
    without = timm.create_model(name, num_classes=0, global_pool="", **options)
    assert without(batch).shape == last.shape
    with pytest.raises(ValueError, match="goes with num_classes=0"):
        without.reset_classifier(3)


def test_a_new_classifier_is_where_the_network_is():
    network = create(num_classes=4).double()
    network.reset_classifier(3)
    assert network(images().double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        (None, [(8, 2), (16, 4), (24, 8), (32, 16)]),
        ((1, 3), [(16, 4), (32, 16)]),
        ((-1, -3), [(32, 16), (16, 4)]),
        (2, [(24, 8), (32, 16)]),
        ((0,), [(8, 2)]),
    ],
)
def test_maps_of_stages(indices, expected):
    options = {} if indices is None else {"out_indices": indices}
    features = create(features_only=True, **options).eval()
    info = features.feature_info
    assert list(zip(info.channels(), info.reduction(), strict=True)) == expected
    batch = images()
    # Hooks on the whole network see the same maps.
    whole, seen = create().eval(), {}
    for name in info.module_name():
        whole.get_submodule(name).register_forward_hook(lambda _, __, y, name=name: seen.update({name: y}))
    whole(batch)
    maps = features(batch)
    assert [tuple(m.shape[1:]) for m in maps] == [(c, 64 // s, 64 // s) for c, s in expected]
    assert all(torch.equal(m, seen[name]) for m, name in zip(maps, info.module_name(), strict=True))
    # Published keys behind the prefix of timm's wrapper, of the blocks that are needed and no others.
    blocks = [int(name.removeprefix("module_list.")) for name in info.module_name()]
    needed = {
        f"model.{k}" for k in whole.state_dict() if not k.startswith("fc") and int(k.split(".")[1]) <= max(blocks)
    }
    assert features.state_dict().keys() == needed
    if blocks == sorted(blocks):  # timm's hooks give maps in the order in which they are made
        hooked = create(features_only=True, feature_cls="hook", **options).eval()
        assert all(torch.equal(a, b) for a, b in zip(maps, hooked(batch), strict=True))


def test_maps_beside_the_last_one():
    network, batch = create().eval(), images()
    last, maps = network.forward_intermediates(batch)
    assert torch.equal(last, network.forward_features(batch))
    assert [m.shape[1] for m in maps] == [8, 16, 24, 32]
    assert network.forward_intermediates(batch, indices=[1], stop_early=True)[0].shape == (2, 16, 16, 16)
    for wrong in ([4], [-5], 0, []):
        with pytest.raises(ValueError, match="There are 4 maps, at strides 2, 4, 8, 16"):
            network.forward_intermediates(batch, indices=wrong)
    with pytest.raises(ValueError, match="NCHW"):
        network.forward_intermediates(batch, output_fmt="NLC")


def test_strides_of_a_network_for_small_images():
    info = timm.create_model(CIFAR, features_only=True).feature_info
    assert (info.reduction(), info.channels()) == ([1, 2, 4, 8], [168, 80, 144, 32])


def test_other_channels(tmp_path):
    network = create(num_classes=4)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    source = {"file": str(tmp_path / "weights.safetensors"), "num_classes": 4}
    grey = create(in_chans=1, pretrained=True, pretrained_cfg=source, num_classes=4)
    name = network.pretrained_cfg["first_conv"]
    # timm's rule: one channel gets the sum of the three.
    summed = network.get_submodule(name).weight.sum(1, keepdim=True)
    torch.testing.assert_close(grey.get_submodule(name).weight, summed)
    assert torch.equal(grey.get_classifier().weight, network.get_classifier().weight)
    # A structure that reads five channels needs no option.
    multi = timm.create_model("gsnet", structure=STRUCTURE.replace("(3,8", "(5,8"))
    assert (multi.in_chans, multi.pretrained_cfg["input_size"]) == (5, (5, 224, 224))
    both = timm.create_model("gsnet", structure="SuperResK3K3(3,16,2,8,1)")
    assert both.pretrained_cfg["first_conv"] == (
        "module_list.0.module_list.0.module_list.0.netblock",
        "module_list.0.module_list.0.proj.0",
    )


def test_published_weights_for_other_channels_classes_and_maps(tmp_path):
    whole = ZenNet.get_ZenNet(CIFAR)
    file = tmp_path / "best-params_rank0.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in whole.state_dict().items()}}, file)
    batch = images(32)
    features = timm.create_model(CIFAR, pretrained=True, weights=file, features_only=True, out_indices=(-1,)).eval()
    assert torch.equal(features(batch)[0], whole.forward_intermediates(batch, [-1], intermediates_only=True)[0])
    bare = timm.create_model(CIFAR, weights=file, num_classes=0).eval()
    assert torch.equal(bare(batch), whole.forward_head(whole.forward_features(batch), pre_logits=True))
    other = timm.create_model(CIFAR, weights=file, num_classes=3, in_chans=4)
    assert other.get_classifier().weight.shape == (3, 512)
    # timm's rule for more channels: the three again from the first on, scaled by 3 / 4.
    name = other.pretrained_cfg["first_conv"]
    kernel = whole.get_submodule(name).weight
    torch.testing.assert_close(other.get_submodule(name).weight, torch.cat((kernel, kernel[:, :1]), 1) * 0.75)


def test_registered_networks_read_the_images_that_they_say(tmp_path, registries):
    structure = "SuperResK3K3(3,16,2,8,1)"
    whole = MasterNet(plainnet_struct=structure, num_classes=4)
    torch.save(whole.state_dict(), tmp_path / "mine.pth")
    ZenNet.register_network("mine", structure, classes=4, resolution=32, weights=tmp_path / "mine.pth")
    grey = ZenNet.get_ZenNet("mine", pretrained=True, in_chans=1)
    # Body and shortcut of a residual block read the image, both by timm's rule: the sum of the three.
    for name in ("module_list.0.module_list.0.module_list.0.netblock", "module_list.0.module_list.0.proj.0"):
        theirs = whole.get_submodule(name).weight.sum(1, keepdim=True)
        torch.testing.assert_close(grey.get_submodule(name).weight, theirs)
    ZenNet.register_network("multi", structure.replace("(3,", "(5,"), classes=4, resolution=32)
    assert ZenNet.get_ZenNet("multi").in_chans == 5


def test_dropout_reads_its_rate():
    network, batch = create(num_classes=4, drop_rate=0.25), torch.ones(50, 64, 4, 4)
    kept = network.forward_head(batch, pre_logits=True)
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert 0.2 < (kept == 0).float().mean() < 0.3
    assert network.eval().forward_head(batch, pre_logits=True).unique().tolist() == [1.0]


def residual_networks(**options):
    structure = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,8,1,8,3)SuperResIDWE2K3(8,8,1,8,1)"
    return MasterNet(plainnet_struct=structure, num_classes=2, **options)


def test_drop_path_grows_from_nothing_and_drops_samples():
    network = residual_networks(drop_path_rate=0.4)
    units = [unit for unit in network.modules() if hasattr(unit, "stochastic_depth")]
    assert [unit.stochastic_depth.p for unit in units] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert network.state_dict().keys() == residual_networks().state_dict().keys()
    # The last one, as the definition has it: a sample has its shortcut alone, or its body over the probability to be kept.
    torch.manual_seed(0)
    unit, x = units[-1], torch.randn(200, 8, 3, 3)
    y = unit(x)
    inner = x
    for layer in unit.module_list:
        inner = layer(inner)
    dropped = (y == x).flatten(1).all(1)
    torch.testing.assert_close(y[~dropped], (x + inner / 0.6)[~dropped])
    assert 0.3 < dropped.float().mean() < 0.5
    unit.eval()
    assert not (unit(x) == x).flatten(1).all(1).any()


def test_no_dropping_draws_no_random_number():
    network, before = residual_networks(), torch.get_rng_state()
    network(images(8))
    assert torch.equal(before, torch.get_rng_state())


def test_rates_that_cannot_be_obeyed():
    for name in ("drop_rate", "drop_path_rate"):
        with pytest.raises(ValueError, match=f"{name} is 1.5; it must be at least 0 and below 1"):
            create(**{name: 1.5})
    ghost = "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,16,2,8,1)"
    with pytest.raises(StructureError, match="no residual link to drop"):
        timm.create_model("gsnet", structure=ghost, drop_path_rate=0.1)


def test_checkpointing_changes_no_bit():
    states = []
    for enable in (False, True):
        network = create(num_classes=4, drop_path_rate=0.3)
        network.set_grad_checkpointing(enable)
        torch.manual_seed(3)
        network(images()).square().sum().backward()
        gradients = {f"{k}.grad": p.grad for k, p in network.named_parameters()}
        states.append(network.state_dict() | gradients)
    assert all(torch.equal(states[0][key], value) for key, value in states[1].items())


def test_layer_decay_of_timms_optimisers():
    from timm.optim import create_optimizer_v2

    network = create(num_classes=4)
    optimizer = create_optimizer_v2(network, opt="sgd", lr=1.0, weight_decay=0.05, layer_decay=0.5)
    scale = {id(p): group["lr_scale"] for group in optimizer.param_groups for p in group["params"]}
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    # Stem, two residual units, one pair of inverted residuals, two ghost units, tail, classifier: eight layers.
    prefixes = {
        "module_list.0.": 7,
        "module_list.1.module_list.0.": 6,
        "module_list.1.module_list.2.": 5,
        "module_list.2.": 4,
        "module_list.3.module_list.0.": 3,
        "module_list.3.module_list.1.": 2,
        "module_list.4.": 1,
        "fc_linear.": 0,
    }
    for name, parameter in network.named_parameters():
        steps = next(steps for prefix, steps in prefixes.items() if name.startswith(prefix))
        assert scale[id(parameter)] == pytest.approx(0.5**steps), name
        assert decay[id(parameter)] == (0.05 if parameter.dim() > 1 else 0), name
    groups = timm.models.group_parameters(network, network.group_matcher(coarse=True))
    assert len(groups) == 6
    assert network.no_weight_decay() == set()


def test_a_folder_written_by_timm_is_read_back(tmp_path):
    options = {"unit": "deployed", "bn_eps": 2e-5}
    network = create(num_classes=5, **options).eval()
    arguments = {"structure": STRUCTURE, **options}
    timm.models.save_for_hf(network, tmp_path, model_args=arguments, safe_serialization=True)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert again.style == Style(True, False, False, "hard_swish", "hard_swish", True, 2e-5)
    assert torch.equal(network(images()), again(images()))


def test_a_folder_in_timms_layout(tmp_path):
    network = MasterNet(plainnet_struct=STRUCTURE, num_classes=3, use_se=True).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": "gsnet",
        "model_args": {"structure": STRUCTURE, "use_se": True},
        "pretrained_cfg": {
            "num_classes": 3,
            "input_size": [3, 32, 32],
            "mean": [0.1, 0.2, 0.3],
            "label_names": ["a", "b", "c"],
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    name = f"local-dir:{tmp_path}"
    again = timm.create_model(name, pretrained=True).eval()
    assert torch.equal(network(images()), again(images()))
    assert timm.data.resolve_model_data_config(again)["mean"] == [0.1, 0.2, 0.3]
    assert (again.pretrained_cfg["pool_size"], again.num_classes) == ((2, 2), 3)
    features = timm.create_model(name, pretrained=True, features_only=True, out_indices=(-1,)).eval()
    assert torch.equal(features(images())[0], network.forward_intermediates(images(), 1, intermediates_only=True)[0])
    tuned = timm.create_model(name, pretrained=True, num_classes=9, in_chans=1).eval()
    assert tuned(images(channels=1)).shape == (2, 9)
    kept = "module_list.4.module_list.0.netblock.weight"
    assert torch.equal(tuned.state_dict()[kept], network.state_dict()[kept])


def test_compiled_and_exported(caplog):
    # The compiler writes down every step where anything listens.
    caplog.set_level("WARNING", logger="torch.__trace")
    small = {"structure": "SuperConvK3BNRELU(3,4,2,1)SuperResK3K3(4,4,1,4,2)", "num_classes": 2}
    batch = images(8)
    training = timm.create_model("gsnet", drop_path_rate=0.2, **small)
    training.set_grad_checkpointing()
    torch.compile(training, backend="aot_eager", fullgraph=True)(batch).sum().backward()
    assert all(p.grad is not None for p in training.parameters())
    features = timm.create_model("gsnet", features_only=True, **small).eval()
    exported = torch.export.export(features, (batch,)).module()
    assert all(torch.equal(a, b) for a, b in zip(exported(batch), features(batch), strict=True))


def test_names_of_ones_own():
    assert ZenNet.register_with_timm(my_backbone=STRUCTURE)[-1] == "my_backbone"
    assert timm.create_model("my_backbone", num_classes=2).extra_repr() == f"structure={STRUCTURE}"
    for taken in ("resnet18", "gsnet", CIFAR):
        with pytest.raises(InputError, match=f"timm has a model {taken} already"):
            ZenNet.register_with_timm(**{taken: STRUCTURE})
    with pytest.raises(StructureError):
        ZenNet.register_with_timm(broken="SuperConvK3BNRELU(3")


@pytest.mark.parametrize(
    "option",
    [{"output_stride": 16}, {"drop_block_rate": 0.1}, {"nonsense": 1}],
    ids=lambda option: next(iter(option)),
)
@pytest.mark.parametrize("name", [CIFAR, "gsnet"])
def test_options_that_would_be_swallowed_are_refused(option, name):
    options = {"structure": STRUCTURE} if name == "gsnet" else {}
    with pytest.raises(TypeError, match=rf"{name} cannot be made with {next(iter(option))}=.*its options are "):
        timm.create_model(name, **options, **option)


def test_options_that_ask_for_what_is_there_are_taken():
    # What timm's own train.py passes to every model.
    network = timm.create_model(
        CIFAR, in_chans=3, drop_rate=0.0, drop_path_rate=None, drop_block_rate=0.0, global_pool=None, use_se=True
    )
    assert network.style.use_se
    with pytest.raises(InputError, match="gsnet is any network: give structure="):
        timm.create_model("gsnet")
    with pytest.raises(InputError, match="no unit 'nonsense'"):
        create(unit="nonsense")
    with pytest.raises(ValueError, match="global_pool is 'max'"):
        create(global_pool="max")


def test_a_folder_of_gsnet_export_is_read_by_timm_and_segmentation_models(tmp_path):
    description = NetworkDescription(STRUCTURE, use_se=True, se_activation="relu", resolution=64, classes=3)
    network = MasterNet(plainnet_struct=STRUCTURE, num_classes=3, use_se=True, se_activation="relu").eval()
    write_folder(network, description, tmp_path / "mine", "apache-2.0")
    again = timm.create_model(f"local-dir:{tmp_path}/mine", pretrained=True).eval()
    assert torch.equal(again(images()), network(images()))
    smp = pytest.importorskip("segmentation_models_pytorch", reason="segmentation-models-pytorch is not installed")
    head = smp.Unet(
        f"tu-local-dir:{tmp_path}/mine", encoder_weights=True, encoder_depth=4, decoder_channels=(16, 16, 8, 8)
    )
    maps = head.encoder.eval()(images())
    expected = [images(), *network.forward_intermediates(images(), intermediates_only=True)]
    assert all(torch.equal(a, b) for a, b in zip(maps, expected, strict=True))
