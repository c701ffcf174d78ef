"""Weights of published networks: found, downloaded over HTTP, checked, loaded strictly, and giving the golden values."""

import http.server
import json
import math
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import ZenNet
from gsnet.commands import convert
from Masternet import MasterNet
from ZenNet import WeightsError, files, state

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden"
SMALL = "zennet_cifar10_model_size05M_res32"


def hash_fill(shapes):
    """Golden fill "hash": every tensor by its place in the state dictionary, float64."""
    filled = {}
    for i, (key, shape) in enumerate(shapes.items()):
        owner, name = key.rsplit(".", 1)
        if name == "num_batches_tracked":
            filled[key] = torch.tensor(0)
        elif f"{owner}.running_mean" in shapes:
            filled[key] = (torch.ones if name in ("weight", "running_var") else torch.zeros)(shape, dtype=torch.float64)
        else:
            j = np.arange(math.prod(shape), dtype=np.int64)
            unit = ((31 * j * j + 17 * j + 101 * i) % 10007) / 10007 * 2 - 1
            scale = math.sqrt(3 / math.prod(shape[1:])) if len(shape) > 1 else 0.1 * math.sqrt(3)
            filled[key] = torch.from_numpy(unit * scale).reshape(shape)
    return filled


def golden_shapes(name):
    return {k: tuple(v) for k, v in json.loads((GOLDEN / "state_dict" / f"{name}.json").read_text()).items()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint in the published layout, with the accuracy as a numpy number beside the weights."""
    file = tmp_path_factory.mktemp("published") / "best-params_rank0.pth"
    torch.save({"state_dict": hash_fill(golden_shapes(SMALL)), "top1_acc": np.float64(96.2), "epoch": 1439}, file)
    return file


class Server(http.server.ThreadingHTTPServer):
    """A web server on the loopback interface that can misbehave as told, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self):
        self.files, self.requests, self.cut_after, self.announce, self.tag = {}, [], [], None, '"one"'
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/mirror"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append((self.path, wanted))
        body = server.files.get(self.path)
        if body is None:
            return self.send_error(404)
        whole, start = len(body), 0
        if wanted and self.headers.get("If-Range") == server.tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(server.announce or whole - start))
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        end = start + server.cut_after.pop(0) if server.cut_after else whole
        self.wfile.write(body[start:end])
        return None

    def log_message(self, *args):
        return None


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZENNET_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def published_path(server, checkpoint):
    path = f"/mirror/{ZenNet.published(SMALL).path}"
    server.files[path] = checkpoint.read_bytes()
    return path


def golden_run(file, structure, resolution=32):
    for case in json.loads((GOLDEN / file).read_text())["structures"]:
        if case["id"] == structure and case["use_se"] == ("relu" in file):
            for run in case["runs"]:
                if (run["fill"], run["resolution"]) == ("hash", resolution) and not case["no_reslink"]:
                    return run["eval"]
    raise LookupError(structure)


@torch.no_grad()
def assert_golden(network, golden, rtol=1e-5):
    images = torch.cos(0.05 * torch.arange(4 * 3 * 32 * 32, dtype=torch.float64)).reshape(4, 3, 32, 32)
    logits = network.double()(images)
    expected = [*golden["logits_0"], *golden["logits_3"]]
    np.testing.assert_allclose([*logits[0, :10], *logits[3, :10]], expected, rtol=rtol, atol=1e-5)


def test_downloaded_weights_give_the_golden_values(server, published_path, cache):
    network = ZenNet.get_ZenNet(SMALL, pretrained=True, weights_url=server.url)
    assert_golden(network, golden_run("forward.json", "zennet_cifar_model_size05M_res32"))
    assert sorted(p.name for p in cache.rglob("*") if p.is_file()) == ["best-params_rank0.pth"]
    # A second time the cache answers.
    ZenNet.get_ZenNet(SMALL, pretrained=True, weights_url=server.url)
    assert server.requests == [(published_path, None)]


def test_published_squeeze_and_excitation_is_relu(tmp_path):
    name = "zennet_imagenet1k_flops400M_SE_res224"
    shapes = golden_shapes(name) | {"fc_linear.netblock.weight": (10, 2048), "fc_linear.netblock.bias": (10,)}
    torch.save({"state_dict": hash_fill(shapes)}, tmp_path / "se.pth")
    network = ZenNet.get_ZenNet(name, num_classes=10, weights=tmp_path / "se.pth")
    assert_golden(network, golden_run("forward_relu_se.json", "zennet_imagenet1k_flops400M_res224"))


def test_an_interrupted_download_continues_where_it_stopped(server, published_path, checkpoint, cache):
    server.cut_after = [100_000, 50_000]
    file = ZenNet.find_weights(ZenNet.published(SMALL), weights_url=server.url)
    assert file.read_bytes() == checkpoint.read_bytes()
    assert [r for _, r in server.requests] == [None, "bytes=100000-", "bytes=150000-"]


def test_a_download_that_keeps_breaking_off_is_continued_by_the_next_run(server, published_path, checkpoint):
    server.cut_after = [1000, 1000, 1000]
    with pytest.raises(WeightsError, match=r"broke off at 3,000 bytes.*running again continues"):
        ZenNet.get_ZenNet(SMALL, pretrained=True, weights_url=server.url)
    file = ZenNet.find_weights(ZenNet.published(SMALL), weights_url=server.url)
    assert file.read_bytes() == checkpoint.read_bytes()
    assert server.requests[-1][1] == "bytes=3000-"


@pytest.mark.parametrize("tag", ['"two"', None, 'W/"one"'])
def test_a_part_of_another_file_is_thrown_away(server, published_path, checkpoint, tag):
    server.cut_after = [1000, 1000, 1000]
    if tag is None or tag.startswith("W/"):
        server.tag = tag
    with pytest.raises(WeightsError, match="broke off"):
        ZenNet.get_ZenNet(SMALL, pretrained=True, weights_url=server.url)
    server.tag = tag
    file = ZenNet.find_weights(ZenNet.published(SMALL), weights_url=server.url)
    assert file.read_bytes() == checkpoint.read_bytes()


def test_an_announced_length_that_never_comes_leaves_no_file(server, published_path, cache):
    server.announce = len(server.files[published_path]) + 7
    with pytest.raises(WeightsError, match="broke off"):
        ZenNet.get_ZenNet(SMALL, pretrained=True, weights_url=server.url)
    assert not list(cache.rglob("*.pth"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<!DOCTYPE html><html>gone</html>", "HTML page"),
        (b"", "empty"),
        (b"three blind mice", "neither a torch checkpoint nor safetensors"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused_and_not_kept(server, published_path, cache, body, message):
    server.files[published_path] = body
    with pytest.raises(WeightsError, match=message) as caught:
        ZenNet.get_ZenNet(SMALL, pretrained=True, weights_url=server.url)
    assert str(cache / ZenNet.published(SMALL).path) in str(caught.value)
    assert [p.suffix for p in cache.rglob("*") if p.is_file()] == [".lock"]


def test_a_dead_link_says_which_file_to_put_where(server, cache):
    with pytest.raises(WeightsError, match="answers 404") as caught:
        ZenNet.get_ZenNet(SMALL, pretrained=True, weights_url=server.url)
    assert f"put the checkpoint of {SMALL} at {cache / ZenNet.published(SMALL).path}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/nothing", "file:///etc", "ftp://127.0.0.1/x"])
def test_an_address_that_cannot_be_reached(url):
    with pytest.raises(WeightsError, match=r"cannot be reached|no address for a download"):
        ZenNet.get_ZenNet(SMALL, pretrained=True, weights_url=url)


@pytest.mark.parametrize(("length", "digest"), [(5, None), (None, "0" * 64)])
def test_a_known_length_and_digest_are_checked(server, published_path, tmp_path, length, digest):
    with pytest.raises(WeightsError, match="instead of"):
        files.download(f"{server.url}/{ZenNet.published(SMALL).path}", tmp_path / "x.pth", length, digest)
    assert [p.name for p in tmp_path.glob("*x.pth*")] == [".x.pth.lock"]


def test_a_torn_file_and_a_pickle_that_runs_code_are_refused(tmp_path, checkpoint):
    torn = tmp_path / "torn.pth"
    torn.write_bytes(checkpoint.read_bytes()[:-5000])
    with pytest.raises(WeightsError, match="torn"):
        ZenNet.get_ZenNet(SMALL, weights=torn)
    torch.save({"state_dict": {}, "run": print}, tmp_path / "code.pth")
    with pytest.raises(WeightsError, match="nothing in a checkpoint is executed"):
        ZenNet.get_ZenNet(SMALL, weights=tmp_path / "code.pth")
    with pytest.raises(WeightsError, match="There is no file"):
        ZenNet.get_ZenNet(SMALL, weights=tmp_path / "absent.pth")


def test_loading_is_strict(tmp_path, checkpoint):
    with pytest.raises(
        WeightsError,
        match=r"2 have another shape \(the first is fc_linear.netblock.weight, \(10, 512\) instead of \(100, 512\)\); "
        "it has 10 classes, not 100",
    ):
        ZenNet.get_ZenNet("zennet_cifar100_model_size05M_res32", weights=checkpoint)
    weights = state.read_state(checkpoint)
    weights["surplus"] = weights.pop("fc_linear.netblock.bias")
    torch.save(weights, tmp_path / "renamed.pth")
    with pytest.raises(
        WeightsError, match=r"1 of 553 tensors are missing \(the first is fc_linear.netblock.bias\)"
    ) as e:
        ZenNet.get_ZenNet(SMALL, weights=tmp_path / "renamed.pth")
    assert "1 are not expected (the first is surplus)" in str(e.value)


def test_another_number_of_classes_leaves_only_the_classifier_random(checkpoint):
    network = ZenNet.get_ZenNet(SMALL, weights=checkpoint, num_classes=7)
    weights = state.read_state(checkpoint)
    for key, value in network.state_dict().items():
        if key.startswith("fc_linear"):
            assert value.shape[0] == 7
            assert value.isfinite().all()
        else:
            torch.testing.assert_close(value, weights[key].to(value.dtype))


def test_a_checkpoint_of_other_classes_is_refused_where_the_published_number_is_asked(checkpoint):
    with pytest.raises(WeightsError, match="2 have another shape"):
        ZenNet.get_ZenNet("zennet_cifar100_model_size05M_res32", weights=checkpoint, num_classes=100)


def test_keys_of_parallel_training_are_understood(tmp_path, checkpoint):
    weights = {f"module.{key}": value for key, value in state.read_state(checkpoint).items()}
    torch.save({"state_dict": weights}, tmp_path / "parallel.pth")
    network = ZenNet.get_ZenNet(SMALL, weights=tmp_path / "parallel.pth")
    assert_golden(network, golden_run("forward.json", "zennet_cifar_model_size05M_res32"))


def test_conversion_to_safetensors(cache, checkpoint):
    cached = cache / ZenNet.published(SMALL).path
    cached.parent.mkdir(parents=True)
    cached.write_bytes(checkpoint.read_bytes())
    assert convert.main([SMALL]) == 0
    cached.unlink()
    network = ZenNet.get_ZenNet(SMALL, pretrained=True)
    assert_golden(network, golden_run("forward.json", "zennet_cifar_model_size05M_res32"))
    with pytest.raises(WeightsError, match="safetensors already"):
        convert.convert(SMALL)


def test_conversion_of_an_unknown_network_is_bad_input(warm_python):
    result = subprocess.run(
        [str(warm_python), "-m", "gsnet", "convert", "zennet_cifar10_model_size5M_res32"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert f"did you mean {SMALL}" in result.stderr
    assert result.stderr.count("\n") == 1


def test_untrained_networks_need_no_weights():
    network = ZenNet.get_ZenNet(SMALL)
    assert isinstance(network, MasterNet)
    assert not network.training
    with pytest.raises(WeightsError, match="No weights of gsmodel_l were published"):
        ZenNet.get_ZenNet("gsmodel_l", pretrained=True)
