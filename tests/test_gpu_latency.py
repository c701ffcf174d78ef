"""Latency as a GPU's owner asks for it, on a pretended GPU: recorded passes, their tables and searches, what is usual there."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import gsnet.latency.command as latency
from gsnet.commands import benchmark_network_latency, evolution_search
from gsnet.comparing.timed_networks import settings_of
from gsnet.interface.options import InputError
from gsnet.latency import device, timed_networks
from gsnet.latency.device import is_tuned, precision_of
from gsnet.latency.measurement import measure_latency, time_for
from gsnet.latency.records import Conditions
from gsnet.latency.setting import Setting
from gsnet.latency.table import LatencyTable
from gsnet.runtimes import RuntimesError, Settings, compiled, runtime
from gsnet.runtimes.cuda_graph import CudaGraphSession, TorchCudaGraph
from gsnet.runtimes.timing import LatencyFigures
from PlainNet import parse
from PlainNet.style import PLAIN

START = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperResK3K3(16,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"
NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 5))


class Replayed:
    """A recorded pass of a processor: it reads and writes the memory that it was recorded with, and counts its repeats."""

    def __init__(self, module, where, outputs):
        self.module, self.where, self.outputs = module, where, outputs
        self.replays = 0

    @torch.inference_mode()
    def replay(self):
        self.replays += 1
        self.outputs.copy_(self.module(self.where))


@pytest.fixture
def recorded(monkeypatch):
    """Passes are recorded on the processor; the list has each recording's module and images."""
    made = []

    def recording(self, where):
        made.append((self._module, where))
        outputs = self._module(where)
        return Replayed(self._module, where, outputs), outputs

    monkeypatch.setattr(CudaGraphSession, "_recording", recording)
    monkeypatch.setattr(TorchCudaGraph, "devices", ("cuda", "cpu"))
    monkeypatch.setattr(torch.cuda, "device", lambda *_: nullcontext())
    return made


def noise(count, seed):
    return np.random.default_rng(seed).standard_normal((count, 3, 8, 8), dtype=np.float32)


def test_a_recorded_pass_computes_what_it_is_given_each_time(recorded):
    session = TorchCudaGraph().make(NETWORK, (8, 8))
    for images in (noise(2, 0), noise(2, 1), noise(3, 2)):
        with torch.inference_mode():
            expected = NETWORK.eval()(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(session.run(images), expected, rtol=1e-5, atol=1e-6)
        # What is timed may be called again and again.
        action = session.ready(images)
        action()
        action()
    assert len(recorded) == 2, "one recording for each number of images"


def test_what_is_recorded_is_recorded_on_a_stream_of_its_device(monkeypatch):
    """torch's own choice is a stream of the first GPU that anything was recorded on."""
    current, streams, used = ["cuda:0"], [], []

    class Stream:
        def __init__(self):
            self.device = current[-1]
            streams.append(self)

        def wait_stream(self, other):
            pass

    class Device:
        def __init__(self, device):
            self.device = str(device)

        def __enter__(self):
            current.append(self.device)

        def __exit__(self, *_):
            current.pop()

    def graph(_, stream=None):
        used.append(stream)
        return nullcontext()

    fakes = {"Stream": Stream, "current_stream": Stream, "stream": lambda _: nullcontext(), "device": Device}
    fakes |= {"CUDAGraph": lambda: SimpleNamespace(replay=lambda: None), "graph": graph}
    for name, made in fakes.items():
        monkeypatch.setattr(torch.cuda, name, made)
    session = CudaGraphSession(NETWORK, Settings())
    monkeypatch.setattr(session, "placed", lambda images: SimpleNamespace(device="cuda:1", copy_=lambda _: None))
    monkeypatch.setattr(session, "_module", lambda images: images)
    session.ready(noise(1, 0))
    assert used and used[0] in streams and used[0].device == "cuda:1"


def test_on_a_gpu_recorded_and_compiled_passes_are_half_and_channels_last_unless_told_otherwise():
    options = {"device": "cuda:0", "threads": 1, "fp16": False, "fp32": False, "own_precision": False}
    options |= {"channels_last": False, "channels_first": False}

    def settings(backend, **more):
        return settings_of(SimpleNamespace(**(options | more)), backend)

    for backend in ("torch.cudagraph", "torch.compile"):
        usual = settings(backend)
        assert (usual.precision, usual.channels_last) == ("fp16", True)
        other = settings(backend, fp32=True, channels_first=True)
        assert (other.precision, other.channels_last) == ("fp32", False)
    eager = settings("torch")
    assert (eager.precision, eager.channels_last) == ("fp32", False)
    assert settings("torch", fp16=True, channels_last=True) == settings("torch.compile")
    on_processor = settings("torch.compile", device="cpu")
    assert (on_processor.precision, on_processor.channels_last) == ("fp32", False)
    assert not is_tuned("tensorrt", "cuda:0") and precision_of("cuda:0", False, "tensorrt") == "fp32"


@pytest.mark.parametrize(
    "options", [["--fp32", "--fp16"], ["--fp32", "--own_precision"], ["--channels_first", "--channels_last"]]
)
def test_contradictions_are_refused(options):
    with pytest.raises(InputError, match="does nothing beside"):
        benchmark_network_latency.parse_options(["--arch", "resnet18", *options])


def test_the_conditions_of_a_table_and_of_a_candidate_are_those_of_its_runtime(monkeypatch):
    conditions = Conditions(precision_of("cuda:0", False, "torch.cudagraph"), 64, 32)
    setting = Setting(conditions, 10, PLAIN, "cuda:0", "torch.cudagraph")
    settings = timed_networks.settings_of(setting)
    assert (settings.precision, settings.channels_last) == ("fp16", True)
    seen = []

    def make(self, network, size, batch, settings):
        seen.append(settings)
        return SimpleNamespace(device="cuda:0", time=lambda *_: LatencyFigures(1.0, 1.0, 1.0))

    monkeypatch.setattr(TorchCudaGraph, "make_to_time", make)
    how = {"batch_size": 1, "resolution": 32, "num_classes": 10, "style": PLAIN, "device": "cuda:0"}
    measure_latency(parse(START), **how, backend="torch.cudagraph")
    assert (seen[0].precision, seen[0].channels_last) == ("fp16", True)


@pytest.mark.parametrize(("kind", "mode"), [("cuda:0", "reduce-overhead"), ("cpu", None)])
def test_compiled_passes_are_recorded_too_on_a_gpu(monkeypatch, kind, mode):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda module, **how: asked.append(how) or module)
    compiled.TorchCompile().session(NETWORK, Settings(device=kind))
    assert asked == [{"mode": mode}]


@pytest.fixture
def clocked(monkeypatch, tmp_path):
    """Turns are short, and tables lie in a folder of the test's own."""
    monkeypatch.setattr(timed_networks, "_SECONDS_A_TURN", 1e-3)
    monkeypatch.setenv("GSNET_LATENCY", str(tmp_path / "tables"))


def test_a_table_of_recorded_passes_is_built_predicted_by_and_searched_by(
    recorded, clocked, tmp_path, monkeypatch, capsys
):
    """What a GPU does in float16 is done in float32 here, which a processor of this test computes as fast."""
    monkeypatch.setattr(device, "_TUNED", frozenset())
    monkeypatch.setattr("gsnet.latency.rounds.MOST_ROUNDS", 5)
    monkeypatch.setattr("gsnet.latency.inference._SWEEPS", 1)
    backend = ("--backend", "torch.cudagraph")
    space = ("--search_space", "XXBL", "--plainnet_struct", START, "--max_layers", "8", "--budget_flops", "20e6")
    build = ("--build_table", "--calibrate", "--networks", "14", "--calibration_networks", "6", "--json")
    size = ("--input_image_size", "16")
    assert benchmark_network_latency.main([*build, *backend, *space, *size]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runtime"], told["runtime_version"]) == ("torch.cudagraph", torch.__version__)
    with LatencyTable.open(Path(told["latency_table"])) as table:
        # Its kernels are those of eager torch: nothing is folded into a convolution.
        assert not table.fuses
        assert "BN" in {layer.kind for layer in table.layers("fp32", 1)}
    predict = ("--predict", "--arch", "PlainNet", "--plainnet_struct", START, "--num_classes", "10", "--json")
    assert benchmark_network_latency.main([*predict, *backend, *size]) == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert row["calibrated"] and row["seconds"] > 0
    folder = tmp_path / "search"
    search = ("--zero_shot_score", "Params", "--evolution_max_iter", "50", "--population_size", "10", "--origin")
    within = ("--budget_latency", "1", "--latency_backend", "torch.cudagraph", "--save_dir", str(folder))
    assert evolution_search.main([*search, *within, *space, *size, "--fix_initialize"]) == 0
    latency_told = json.loads((folder / "best.json").read_text())["latency"]
    assert (latency_told["source"], latency_told["backend"]) == ("predict", "torch.cudagraph")
    assert latency_told["measured_seconds_per_image"] > 0


def test_a_table_of_compiled_passes_is_refused_before_anything_is_compiled():
    setting = Setting(Conditions("fp32", 1, 16), 10, PLAIN, "cpu", "torch.compile")
    with pytest.raises(InputError, match=r"torch\.compile has no files"):
        timed_networks.timer_of(setting, Path("nowhere"))


def test_tables_of_a_gpu_go_by_its_events_as_the_winner_does(monkeypatch):
    asked = []
    monkeypatch.setattr("gsnet.runtimes.timing._cuda_seconds", lambda device, action: asked.append(device) or 0.5)
    clock = iter([]).__next__
    assert time_for(lambda: None, clock, 1.0, "cuda:1") == 0.5
    assert set(asked) == {"cuda:1"}


class Timed:
    """A session on a GPU, and the seconds that it takes by number of images."""

    device, precision = "cuda:0", "fp16"

    def __init__(self, seconds):
        self.seconds, self.asked = seconds, []

    def time(self, images, *_):
        self.asked.append(len(images))
        value = self.seconds[len(images)]
        return LatencyFigures(value, value, value)


def report_of(monkeypatch, seconds, batches="64", backend="torch", kind="cuda:0"):
    monkeypatch.setattr(latency, "device_identity", lambda *_: "a GPU")
    options = SimpleNamespace(batch_size_list=batches, device=kind, threads=1, repeat_times=10, precision=0.02)
    session = Timed(seconds)
    session.device = kind
    return latency.time_session(options, backend, session, 8), session


def test_where_one_image_takes_as_long_as_the_batch_it_is_said(monkeypatch):
    report, session = report_of(monkeypatch, {1: 3.08, 64: 3.10})
    assert session.asked == [64, 1] and [row["batch"] for row in report["rows"]] == [64]
    assert "one image takes 99% of the time of 64" in report[latency.LAUNCHES]
    assert "--backend torch.cudagraph" in report[latency.LAUNCHES]
    both, session = report_of(monkeypatch, {1: 1.0, 8: 1.05, 64: 3.0}, "1,8,64")
    assert session.asked == [1, 8, 64] and latency.LAUNCHES not in both
    recorded, _ = report_of(monkeypatch, {1: 1.0, 2: 1.0}, "2", "torch.cudagraph")
    assert "do not fill the device" in recorded[latency.LAUNCHES]
    on_processor, session = report_of(monkeypatch, {64: 1.0}, kind="cpu")
    assert latency.LAUNCHES not in on_processor and session.asked == [64]
    alone, session = report_of(monkeypatch, {1: 1.0}, "1")
    assert latency.LAUNCHES not in alone and session.asked == [1]


def test_the_sentence_is_a_line_of_what_is_printed_and_no_column(monkeypatch, capsys):
    report, _ = report_of(monkeypatch, {1: 3.08, 64: 3.10})
    assert latency.LAUNCHES not in benchmark_network_latency.rows_of([{"arch": "x", **report}])[0]
    benchmark_network_latency.show({"arch": "x", **report}, False)
    assert capsys.readouterr().out.splitlines()[-1] == report[latency.LAUNCHES]


def test_the_name_without_torch_leads_to_the_runtime():
    with pytest.raises(RuntimesError, match=r"did you mean torch\.cudagraph"):
        runtime("cudagraph")
