"""Programs that run networks: each gives what torch gives, says its times, and says in a sentence what is missing."""

import csv
import gc
import json
import math
import operator
import re
import signal
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

import PlainNet
from benchmarks import block_files
from gsnet import runtimes
from gsnet.commands import benchmark_network_latency
from gsnet.interface.options import InputError
from gsnet.latency.errors import LatencyError
from gsnet.latency.measurement import measure_latency
from gsnet.latency.runtime_report import comparison_table, operation_lines
from gsnet.models import exporting
from gsnet.runtimes import registry, torch_operations
from gsnet.runtimes.comparison import compare
from gsnet.runtimes.eager import Torch
from gsnet.runtimes.litert_runtime import LiteRT
from gsnet.runtimes.onnx_file import write_onnx
from gsnet.runtimes.timing import time_calls
from Masternet import MasterNet

STRUCTURE = "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,2,8,1)"
SIZE = (16, 16)
# Torch compiles for a minute.
QUICK = ("torch", "onnxruntime", "openvino", "ncnn", "opencv")
# Of requirements-runtimes.txt alone: their libraries take half a minute to be imported.
SLOW = ("executorch", "litert")
# Kinds of operation that are convolutions, as each calls them.
CONVOLUTIONS = {
    "torch": "conv2d",
    "onnxruntime": "(Fused)?Conv",
    "openvino": "(Group)?Convolution:.*",
    # What stands behind global pooling, and the classifier, are matrix products to it.
    "ncnn": "Convolution(DepthWise)?|InnerProduct",
    "opencv": "Conv.*",
}


@pytest.fixture(scope="module")
def network():
    """A network whose BN statistics are not those of a fresh one."""
    torch.manual_seed(3)
    made = MasterNet(num_classes=10, plainnet_struct=STRUCTURE, use_se=True)
    made(torch.randn(8, 3, *SIZE) * 3 + 1)
    return made.eval()


@pytest.fixture(scope="module")
def onnx_file(network, tmp_path_factory):
    """The network as ONNX, which takes longest to write, and which both its readers are given."""
    if missing := runtimes.runtime("onnxruntime").missing(writing=True):
        pytest.skip(f"{', '.join(missing)} not installed (requirements-runtimes.txt)")
    file = tmp_path_factory.mktemp("onnx") / "network.onnx"
    write_onnx(network, file, SIZE)
    return file


@pytest.fixture(scope="module")
def sessions(network, onnx_file):
    """Sessions by runtime, each made once."""
    made = {}

    def session(name):
        program = runtimes.runtime(name)
        if missing := program.missing(writing=True):
            pytest.skip(f"{', '.join(missing)} not installed (requirements-runtimes.txt)")
        if name not in made:
            of_file = name in ("onnxruntime", "openvino", "opencv")
            settings = runtimes.Settings()
            made[name] = program.load(onnx_file, settings) if of_file else program.make(network, SIZE, settings)
        return made[name]

    return session


@pytest.mark.parametrize("name", QUICK + SLOW)
def test_outputs_are_those_of_torch(name, network, sessions):
    session = sessions(name)
    assert session.precision == "fp32"
    assert compare(network, session.run, SIZE) < 1e-5
    images = np.random.default_rng(0).standard_normal((2, 3, *SIZE), dtype=np.float32)
    figures = session.time(images, repeats=2)
    assert 0 < figures.lower_quartile <= figures.median and figures.repeats == 2


@pytest.mark.parametrize("name", QUICK)
def test_images_may_lie_in_memory_in_any_order(name, network, sessions):
    """As pictures do, with their channels innermost."""
    images = np.random.default_rng(0).standard_normal((2, *SIZE, 3), dtype=np.float32).transpose(0, 3, 1, 2)
    expected = network(torch.from_numpy(images.copy())).detach().numpy()
    np.testing.assert_allclose(sessions(name).run(images), expected, atol=1e-5)


@pytest.mark.parametrize("name", QUICK)
def test_every_convolution_of_the_module_is_timed_once(name, network, sessions):
    images = np.random.default_rng(0).standard_normal((1, 3, *SIZE), dtype=np.float32)
    operations = sessions(name).operations(images, passes=2)
    assert all(operation.seconds >= 0 for operation in operations)
    found = [one for one in operations if re.fullmatch(CONVOLUTIONS[name], one.kind)]
    convolutions = sum(isinstance(module, torch.nn.Conv2d) for module in network.modules())
    assert len(found) == convolutions + (name == "ncnn")


def in_blocks(shape):
    """A shape as all processors have it."""
    widths = [math.ceil(width / 16) for width in (shape.in_channels, shape.out_channels)]
    return *widths, shape.in_height, shape.out_height, shape.kernel_size, shape.groups > 1


@pytest.mark.parametrize("name", ("onnxruntime", "openvino", "ncnn"))
def test_every_convolution_says_of_which_shape_it_is(name, network, sessions):
    shapes = []

    def note(module, given, made):
        # Behind global pooling ncnn has matrix products, and a convolution of one position may be one in any runtime.
        if given[0].shape[-1] > 1:
            sizes = given[0].shape[1], given[0].shape[2], made.shape[1], made.shape[2]
            shapes.append(runtimes.ConvolutionShape(*sizes, module.kernel_size[0], module.groups))

    hooks = [one.register_forward_hook(note) for one in network.modules() if isinstance(one, torch.nn.Conv2d)]
    network(torch.zeros(1, 3, *SIZE))
    for hook in hooks:
        hook.remove()
    images = np.zeros((1, 3, *SIZE), np.float32)
    operations = sessions(name).operations(images, passes=1)
    told = [one.convolution for one in operations if one.convolution is not None and one.convolution.in_height > 1]
    # ONNX Runtime makes maps as wide as its blocks of 8 or 16 channels, by the processor.
    seen = in_blocks if name == "onnxruntime" else lambda shape: shape
    assert Counter(map(seen, told)) == Counter(map(seen, shapes))
    # ncnn's are timed one by one, which tells a table less than nothing.
    assert runtimes.runtime(name).tells_operations == (name != "ncnn")


def test_files_that_are_timed_run_the_operators_of_files_that_are_exported(network, sessions, tmp_path):
    images = np.random.default_rng(0).standard_normal((1, 3, *SIZE), dtype=np.float32)
    program, exported = runtimes.runtime("onnxruntime"), sessions("onnxruntime")
    program.write_to_time(network, tmp_path / "timed.onnx", SIZE, 1)
    timed = program.load(tmp_path / "timed.onnx", runtimes.Settings())
    assert compare(network, timed.run, SIZE, batches=(1,)) < 1e-5
    # Both names of the mean over all positions, and of one row of numbers.
    same = {"ReduceMean": "GlobalAveragePool", "Flatten": "Reshape"}
    kinds = [Counter(same.get(o.kind, o.kind) for o in one.operations(images, passes=1)) for one in (exported, timed)]
    for found in kinds:
        # Without AVX-512, one more is needed behind the other name of the mean.
        del found["ReorderInput"], found["ReorderOutput"]
    assert kinds[0] == kinds[1] and kinds[0]["Conv"] > 10


@pytest.mark.parametrize("name", ("onnxruntime", "openvino", "ncnn"))
def test_files_that_are_timed_take_as_many_images_as_they_are_timed_for(name, tmp_path):
    """With a shuffle, whose shape the tracer writes down with the number of images."""
    program = runtimes.runtime(name)
    if missing := program.missing(writing=True):
        pytest.skip(f"{', '.join(missing)} not installed (requirements-runtimes.txt)")
    structure = "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,8,1,8,1)"
    network, file = MasterNet(num_classes=10, plainnet_struct=structure).eval(), tmp_path / f"net{program.suffixes[0]}"
    program.write_to_time(network, file, SIZE, 3)
    assert compare(network, program.load(file, runtimes.Settings()).run, SIZE, batches=(3,)) < 1e-5


@pytest.mark.parametrize(("kind", "name"), [("openvino", "net.xml"), ("onnx", "net.onnx")])
def test_a_file_of_weights_that_are_no_numbers_is_not_kept(kind, name, tmp_path):
    """OpenVINO's outputs of it are numbers, for its ReLU makes a zero of what is none (findings/openvino_hides_nan.sh)."""
    program = runtimes.runtime("onnxruntime" if kind == "onnx" else kind)
    if missing := program.missing(writing=True):
        pytest.skip(f"{', '.join(missing)} not installed (requirements-runtimes.txt)")
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
    )
    torch.nn.init.constant_(network[0].weight[1], torch.nan)
    with pytest.raises(InputError, match="computes other outputs"):
        exporting.export(network.eval(), tmp_path / name, kind, (8, 8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "main", "other"), [("ncnn", "net.param", "net.bin"), ("openvino", "net.xml", "net.bin")]
)
def test_files_of_two_parts(kind, main, other, tmp_path):
    program = runtimes.runtime(kind)
    if missing := program.missing(writing=True):
        pytest.skip(f"{', '.join(missing)} not installed (requirements-runtimes.txt)")
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
    )
    assert exporting.export(network, tmp_path / main, kind, (8, 8)) < 1e-5
    assert {path.name for path in tmp_path.iterdir()} == {main, other}
    assert compare(network, program.load(tmp_path / main, runtimes.Settings()).run, (8, 8)) < 1e-5
    # Weights of 16 bits: 4 x 27 + 4 + 2 x 144 + 2 values of half the bytes, and little beside them.
    whole = (tmp_path / other).stat().st_size
    assert exporting.export(network, tmp_path / main, kind, (8, 8), half=True) < 2e-3
    assert (tmp_path / other).stat().st_size < 0.6 * whole
    with pytest.raises(InputError, match=f"name it out{Path(main).suffix}"):
        exporting.export(network, tmp_path / "out", kind, (8, 8))


def test_a_file_of_another_format_names_that(tmp_path):
    with pytest.raises(InputError, match=r"^onnx is a file \.onnx: name it net\.onnx, or choose --format openvino$"):
        exporting.files_of(tmp_path / "net.xml", "onnx")
    with pytest.raises(InputError, match=r"name it net\.param, or choose --format onnx or opencv$"):
        exporting.files_of(tmp_path / "net.onnx", "ncnn")
    for odd in ("y.foo", "net0.5"):
        with pytest.raises(InputError, match=f"onnx is a file .onnx: name it {odd}.onnx"):
            exporting.files_of(tmp_path / odd, "onnx")
    # Its own second file is no other format's.
    with pytest.raises(InputError, match=r"name it net\.param$"):
        exporting.files_of(tmp_path / "net.bin", "ncnn")


def test_the_second_file_of_another_format_is_not_overwritten(tmp_path):
    (tmp_path / "net.param").touch()
    (tmp_path / "net.bin").write_bytes(b"weights")
    with pytest.raises(InputError, match=r"net.bin belongs to \S+net.param"):
        exporting.files_of(tmp_path / "net.xml", "openvino")
    assert exporting.files_of(tmp_path / "net.param", "ncnn") == (tmp_path / "net.param", tmp_path / "net.bin")


def test_a_sum_of_branches_is_traced_as_additions():
    """ncnn ends the process where it runs the sum over stacked maps that it is in torch."""
    text = "ConvKX(3,8,3,1)MultiSumBlock(ConvKX(8,8,3,1);ConvKX(8,8,1,1);RELU(8))"
    summed = MasterNet(num_classes=10, plainnet_struct=text).eval()
    images = torch.randn(1, 3, *SIZE)
    traced = torch.jit.trace(summed, images)
    assert "aten::stack" not in str(traced.inlined_graph)
    torch.testing.assert_close(traced(images), summed(images))


class Doubling(runtimes.Runtime):
    """A runtime of a user's own, which computes something else."""

    name = "doubling"
    suffixes = (".pt",)

    def write(self, network, file, size, output, *, half, texts=()):
        Torch().write(network, file, size, output, half=half)

    def open(self, file, settings):
        session = Torch().open(file, settings)
        run = session.run
        session.run = lambda images: run(images) * 2
        return session


def benchmark(capsys, *options):
    network = ("--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--num_classes", "10", "--input_image_size", "16")
    status = benchmark_network_latency.main([*network, "--repeat_times", "2", "--json", *options])
    return status, json.loads(capsys.readouterr().out)


def test_a_runtime_of_ones_own_is_known_and_what_computes_something_else_is_told(capsys, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    runtimes.register(Doubling())
    status, report = benchmark(capsys, "--backend", "torch,doubling", "--operations")
    assert status == 0
    torchs, doubled = report["backends"]
    assert torchs["rows"][0]["median"] > 0 and torchs["operations"]
    assert doubled == {
        "backend": "doubling",
        "error": "doubling computes other outputs in fp32, off by 1 of the largest",
    }
    with pytest.raises(ValueError, match="torch is a runtime of the package"):
        runtimes.register(type("Mine", (Doubling,), {"name": "torch"})())


class Silent(Torch):
    """A runtime that says nothing of its operations, and notes the images that it is asked about."""

    name = "silent"
    asked: ClassVar[list[int]] = []

    def session(self, module, settings):
        session = super().session(module, settings)
        session.operations = lambda images: (
            self.asked.append(len(images)) or runtimes.Session.operations(session, images)
        )
        return session


def test_operations_are_of_the_first_batch_size_and_who_tells_none_is_timed_all_the_same(capsys, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    runtimes.register(Silent())
    status, report = benchmark(capsys, "--backend", "silent", "--operations", "--batch_size_list", "2,1")
    assert status == 0 and [row["batch"] for row in report["rows"]] == [2, 1] and Silent.asked == [2]
    assert report["no_operations"] == "silent: times of single operations are not told" and "operations" not in report


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--backend", "onnxrunime"), "There is no runtime 'onnxrunime': did you mean onnxruntime"),
        (("--backend", "onnxruntime", "--fp16"), "onnxruntime runs fp32 here, not bf16"),
        (("--backend", "torch.cudagraph"), "torch.cudagraph runs on a GPU here, not on cpu"),
        (("--backend", "ncnn", "--channels_last"), "ncnn chooses the layout of maps itself"),
        (("--backend", "tensorrt"), "tensorrt runs on a GPU here, not on cpu"),
        (("--backend", "elsewhere"), "elsewhere needs a library that is not installed: pip install no-such-library"),
    ],
)
def test_what_a_runtime_cannot_do_is_one_sentence(options, sentence, capsys, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    runtimes.register(type("Elsewhere", (Doubling,), {"name": "elsewhere", "needs": {"no_such": "no-such-library"}})())
    with pytest.raises(InputError, match=re.escape(sentence)):
        benchmark(capsys, *options)


class Stubborn(Doubling):
    """A runtime whose library finds out late that it cannot run a network."""

    name = "stubborn"

    def write(self, network, file, size, output, *, half, texts=()):
        raise RuntimeError("no kernel for it\nand a page about that")


def test_what_a_library_finds_out_late_ends_neither_the_others_nor_in_a_traceback(capsys, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    runtimes.register(Stubborn())
    sentence = "stubborn cannot run the network: no kernel for it"
    status, report = benchmark(capsys, "--backend", "stubborn,torch")
    assert status == 0 and report["backends"][0] == {"backend": "stubborn", "error": sentence}
    with pytest.raises(InputError, match=f"^{sentence}$"):
        benchmark(capsys, "--backend", "stubborn")


def test_a_network_that_cannot_be_timed_in_a_search_is_one_sentence(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    runtimes.register(Stubborn())
    timed = {"batch_size": 2, "resolution": 16, "num_classes": 5, "style": PlainNet.PLAIN, "backend": "stubborn"}
    with pytest.raises(LatencyError, match=r"^stubborn cannot run Super.*: no kernel for it$"):
        measure_latency(PlainNet.parse(STRUCTURE), **timed)


def test_who_tells_no_operations_is_timed_all_the_same(capsys, monkeypatch):
    """ExecuTorch and LiteRT are such ones."""
    monkeypatch.setattr(registry, "_registered", {})
    untold = {"run": lambda self, images: self.module(torch.from_numpy(images)).detach().numpy()}
    session = type("Silent", (runtimes.Session,), untold)

    def opened(self, file, settings):
        made = session()
        made.module = torch.jit.load(str(file))
        return made

    runtimes.register(type("Silently", (Doubling,), {"name": "silent", "open": opened})())
    status, report = benchmark(capsys, "--backend", "silent,torch", "--operations")
    silent, torchs = report["backends"]
    assert status == 0 and silent["rows"][0]["median"] > 0 and torchs["operations"]
    assert silent["no_operations"] == "silent: times of single operations are not told" and "operations" not in silent
    network = ("--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--num_classes", "10", "--input_image_size", "16")
    assert benchmark_network_latency.main([*network, "--backend", "silent", "--repeat_times", "2", "--operations"]) == 0
    *_, row, last = capsys.readouterr().out.splitlines()
    assert "images a second" in row and last == "silent: times of single operations are not told"


def test_what_litert_s_converter_tells_of_its_progress_is_not_heard(tmp_path, monkeypatch, capsys):
    """It is pages long, on standard output, where --json has its object alone."""

    class Converted:
        def export(self, file):
            print("[START] Write Model")
            Path(file).write_bytes(b"TFL3")

    def convert(network, images):
        print("[START] Convert")
        return Converted()

    monkeypatch.setitem(sys.modules, "litert_torch", SimpleNamespace(convert=convert))
    LiteRT().write(torch.nn.Identity(), tmp_path / "net.tflite", SIZE, "logits", half=False)
    assert (tmp_path / "net.tflite").read_bytes() == b"TFL3"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (
            "<EdgeOpOverload: aten.view_copy.default>: schema = aten::view_copy(Tensor self, SymInt[] size) -> Tensor",
            "view",
        ),
        (
            "<EdgeOpOverload: aten._native_batch_norm_legit_no_training.default>: schema = aten::x(Tensor y)",
            "batch_norm",
        ),
        (
            "<EdgeOpOverload: dim_order_ops._clone_dim_order.default>: schema = dim_order_ops::x(Tensor y)",
            "clone_dim_order",
        ),
        ("<EdgeOpOverload: aten.mean.dim>: schema = aten::mean.dim(Tensor self, int[1]? dim) -> Tensor", "mean"),
        (operator.getitem, "getitem"),
    ],
)
def test_operators_of_executorch_have_short_names(target, name):
    assert block_files._name(target) == name


def test_the_page_says_what_every_block_becomes_in_every_runtime():
    page = (Path(__file__).parent.parent / "docs/runtimes.md").read_text(encoding="utf-8")
    tables = page.split("| block | ")[1:]
    named = [re.findall(r"^\| `([^`]+)` \|", one, re.MULTILINE) for one in tables]
    assert [rows[: len(block_files.BLOCKS)] for rows in named] == [[*block_files.BLOCKS]] * 3
    columns = {column for one in tables for column in one.splitlines()[0].rstrip(" |").split(" | ")}
    of_files = {name for name in exporting.FORMATS.values() if name != "torch"}
    assert columns == of_files | {"ONNX file", "opencv"}


def test_below_a_table_a_runtime_is_named_once():
    own = "onnxruntime needs a library that is not installed: pip install onnxruntime"
    others = "pnnx cannot write the network for ncnn: no"
    reports = [{"backend": "onnxruntime", "error": own}, {"backend": "ncnn", "error": others}]
    assert comparison_table(reports) == [own, f"ncnn: {others}"]


def test_those_that_are_not_installed_are_named_in_one_line(capsys, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    for name, packages in (("one", ("a", "b")), ("two", ("b", "c")), ("three", ("d",))):
        lacking = {f"no_such_{package}": package for package in packages}
        runtimes.register(type(name, (Doubling,), {"name": name, "needs": lacking})())
    line = "not installed: one, two and three, for which pip install a b c d"
    network = ("--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--num_classes", "10", "--input_image_size", "16")
    assert benchmark_network_latency.main([*network, "--repeat_times", "2", "--backend", "one,torch,two,three"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == line
    with pytest.raises(InputError, match=f"^{line}$"):
        benchmark(capsys, "--backend", "one,two,three")


def test_a_runtimes_figures_stand_apart():
    """Milliseconds of five digits, too, as of networks that take microseconds."""
    row = {
        "batch": 1,
        "median": 3.4042e-5,
        "lower_quartile": 3.3482e-5,
        "upper_quartile": 3.4853e-5,
        "images_per_second": 29376.1,
    }
    lines = comparison_table(
        [{"backend": "torch.cudagraph", "precision": "fp16 storage", "max_difference": None, "rows": [row]}]
    )
    assert lines[1].split() == [
        *("torch.cudagraph", "fp16", "storage", "1", "0.03404", "0.03348", "to", "0.03485", "2.938e+04", "-")
    ]


def test_operations_are_summed_by_kind_and_the_longest_come_first():
    """Of 40 operations: 20 kinds, kind k with two of k milliseconds; what is not shown is counted."""
    operations = [
        {"kind": f"k{k}", "name": f"n{k}.{place}", "seconds": k / 1000} for k in range(1, 21) for place in (0, 1)
    ]
    head, *lines = operation_lines("mine", operations)
    assert head == "mine: 40 operations, 420000.0 us together"
    *kinds, rest = lines[:13]
    assert [line.split() for line in kinds] == [
        [f"{2 * k * 1000:.1f}", "us", f"{2 * k / 420:.1%}", "2", f"k{k}"] for k in range(20, 8, -1)
    ]
    assert rest.split() == ["72000.0", "us", f"{72 / 420:.1%}", "16", "of", "8", "other", "kinds"]
    assert lines[13] == "  the longest of them:" and len(lines) == 29
    assert [line.split()[-1] for line in lines[14:18]] == ["n20.0", "n20.1", "n19.0", "n19.1"]


def test_operators_of_torch_are_those_of_the_modules_layers_and_nothing_else_is_said(network, sessions, capfd):
    images = np.random.default_rng(0).standard_normal((1, 3, *SIZE), dtype=np.float32)
    operations = sessions("torch").operations(images, passes=2)
    layers = dict(network.named_modules())
    of_convolutions = [one.name for one in operations if one.kind == "conv2d"]
    assert sorted(of_convolutions) == sorted(
        name for name, layer in layers.items() if isinstance(layer, torch.nn.Conv2d)
    )
    assert not {one.kind for one in operations} & {"convolution", "mkldnn_convolution", "empty"}
    assert capfd.readouterr() == ("", "")
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in sessions("torch")._module.modules())


def test_an_operator_of_torch_takes_the_time_of_those_that_it_calls(monkeypatch):
    """Alone a convolution would take no more than what finds its kernel."""
    layer = SimpleNamespace(name="gsnet layer stem.0", cpu_time_total=50.0, cpu_parent=None)
    called = SimpleNamespace(name="aten::conv2d", cpu_time_total=40.0, cpu_parent=layer)
    kernel = SimpleNamespace(name="aten::mkldnn_convolution", cpu_time_total=37.0, cpu_parent=called)
    between = SimpleNamespace(name="autograd::engine", cpu_time_total=3.0, cpu_parent=kernel)
    memory = SimpleNamespace(name="aten::empty", cpu_time_total=1.0, cpu_parent=between)
    alone = SimpleNamespace(name="aten::relu", cpu_time_total=2.0, cpu_parent=None)
    events = SimpleNamespace(events=lambda: [layer, called, kernel, between, memory, alone])
    monkeypatch.setattr(torch_operations, "profile", lambda **_: nullcontext(events))
    found = torch_operations.operators_of(torch.nn.ReLU(), torch.zeros(1), passes=3)
    assert [(one.name, one.kind, one.seconds) for one in found] == [("stem.0", "conv2d", 4e-5), ("", "relu", 2e-6)]


def test_a_table_of_all_operations_is_written_where_it_is_asked_for(capsys, tmp_path):
    file = tmp_path / "operations.csv"
    batches = ("--batch_size_list", "2,1")
    status, report = benchmark(capsys, "--backend", "torch", "--operations_csv", str(file), *batches)
    with file.open() as stream:
        rows = list(csv.DictReader(stream))
    assert status == 0 and len(rows) == len(report["operations"]) > 20
    assert [row["place"] for row in rows] == [str(place) for place in range(len(rows))]
    # Of the first batch size, as --operations is.
    assert {(row["arch"], row["backend"], row["batch"]) for row in rows} == {("PlainNet", "torch", "2")}
    assert [float(row["seconds"]) for row in rows] == [one["seconds"] for one in report["operations"]]


def test_signals_are_survived_after_two_sessions_of_openvino(network, tmp_path):
    """Whichever ends first: on processors with AMX OpenVINO lays a stack for signals under the thread."""
    program = runtimes.runtime("openvino")
    if missing := program.missing(writing=True):
        pytest.skip(f"{', '.join(missing)} not installed (requirements-runtimes.txt)")
    write_onnx(network, tmp_path / "network.onnx", SIZE)
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        sessions = [program.load(tmp_path / "network.onnx", runtimes.Settings()) for _ in range(2)]
        while sessions:
            del sessions[0]
        gc.collect()
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


def test_a_gpu_that_is_not_the_current_one_is_timed_by_its_own_stream(monkeypatch):
    """Without a GPU: events note which device was the current one, as torch's take a stream of it."""
    current, recorded = ["cuda:0"], []

    class Device:
        def __init__(self, device):
            self.device = device

        def __enter__(self):
            current.append(self.device)

        def __exit__(self, *_):
            current.pop()

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            recorded.append(current[-1])

        def elapsed_time(self, end):
            return 2.0

    for name, made in {"device": Device, "Event": Event, "synchronize": lambda: None}.items():
        monkeypatch.setattr(torch.cuda, name, made)
    assert time_calls(lambda: None, "cuda:1", repeats=2).median == 2e-3
    assert recorded == ["cuda:1"] * 4 and current == ["cuda:0"]


@pytest.mark.parametrize("name", QUICK + SLOW)
def test_a_damaged_file_is_one_sentence(name, tmp_path):
    program = runtimes.runtime(name)
    if missing := program.missing(writing=False):
        pytest.skip(f"{', '.join(missing)} not installed (requirements-runtimes.txt)")
    file = tmp_path / f"network{program.suffixes[0]}"
    file.write_text("no network")
    with pytest.raises(runtimes.RuntimesError, match=re.escape(str(file))) as told:
        program.load(file, runtimes.Settings())
    assert "\n" not in str(told.value)


def test_a_network_is_traced_once(network, tmp_path):
    """torch keeps every trace until the process ends, and a table of a runtime traces hundreds of networks."""
    passes = []
    handle = network.register_forward_hook(lambda *_: passes.append(None))
    Torch().write(network, tmp_path / "network.pt", SIZE, "logits", half=False)
    handle.remove()
    assert len(passes) == 1


def test_opencv_is_asked_for_no_weights_in_float16(network, tmp_path):
    """It loads no such file (findings/opencv_smaller_onnx.sh)."""
    with pytest.raises(runtimes.RuntimesError, match="opencv loads weights in float32 alone: leave --fp16 out"):
        runtimes.runtime("opencv").write(network, tmp_path / "half.onnx", SIZE, "logits", half=True)
    assert not list(tmp_path.iterdir())
