"""ncnn on the processor, with files that pnnx writes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from gsnet.runtimes.contract import (
    BF16,
    FP32,
    NO_TEXTS,
    OWN,
    ConvolutionShape,
    MissingLibraryError,
    Operation,
    Runtime,
    RuntimesError,
    Session,
    Settings,
    Texts,
)
from gsnet.runtimes.eager import Torch

# Blobs stay as the next layer wants them: neither unpacked nor made float32.
_AS_IT_IS = 1
# Passes before the clock is read: the first ones take memory.
_WARM_UP = 2
# With one channel a group the second.
_CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
# Begins the line behind the layers, where ncnn does not look, with what the file holds beside the network, as JSON.
_TEXTS = "# gsnet "


class NcnnSession(Session):
    """A network of one input and one output; it takes one image at a time."""

    def __init__(self, file: Path, settings: Settings) -> None:
        import ncnn

        self._ncnn = ncnn
        self._file = file
        net = ncnn.Net()
        net.opt.num_threads = settings.threads
        # By itself ncnn keeps weights, and where the processor can, maps, in 16 bits.
        self.precision = "fp16 storage" if settings.precision == OWN else settings.precision
        if settings.precision != OWN:
            net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
            net.opt.use_bf16_storage = net.opt.use_bf16_packed = settings.precision == BF16
        if net.load_param(str(file)) or net.load_model(str(file.with_suffix(".bin"))):
            raise RuntimesError(f"ncnn cannot read {file} and {file.with_suffix('.bin').name}")
        self._net = net
        self.texts = _texts_of(file)
        self._parameters = _parameters_of(file)
        (self._input,), (self._output,) = net.input_names(), net.output_names()

    def run(self, images: np.ndarray) -> np.ndarray:
        # ncnn reads memory as it comes, whatever an array says of its order, and keeps no array alive.
        images = np.ascontiguousarray(images)
        return np.stack([self._run_one(image) for image in images])

    def _run_one(self, image: np.ndarray) -> np.ndarray:
        extractor = self._net.create_extractor()
        extractor.input(self._input, self._ncnn.Mat(image))
        status, output = extractor.extract(self._output)
        if status:
            raise RuntimesError(f"ncnn could not run {self._file.name}")
        return np.array(output, dtype=np.float32)

    def operations(self, images: np.ndarray, passes: int = 10) -> list[Operation]:
        """Times of the layers for the first image, each computed from those before it that are kept."""
        layers, images = self._net.layers(), np.ascontiguousarray(images)
        shapes = self._convolutions(layers, images[0])
        times: dict[int, list[float]] = {place: [] for place, layer in enumerate(layers) if layer.bottoms}
        # Without this ncnn frees a blob once it has been read, and would compute it again.
        self._net.opt.lightmode = False
        # Out of its own pool of memory it would copy every blob that is asked for, on the layer's time.
        pool = self._ncnn.UnlockedPoolAllocator()
        try:
            for number in range(_WARM_UP + passes):
                seconds = self._one_by_one(layers, images[0], pool)
                for place, found in times.items():
                    found += [seconds[place]] * (number >= _WARM_UP)
        finally:
            self._net.opt.lightmode = True
        return [
            Operation.of(layers[place].name, layers[place].type, found, shapes.get(layers[place].name))
            for place, found in times.items()
        ]

    def _convolutions(self, layers: Sequence[Any], image: np.ndarray) -> dict[str, ConvolutionShape]:
        """Of each convolution by its name: what the file says of it, and the maps that it reads and writes."""
        extractor = self._net.create_extractor()
        extractor.input(self._input, self._ncnn.Mat(image))
        maps = {}
        for layer in layers:
            for top in layer.tops:
                maps[top] = extractor.extract(top)[1]
        found = {}
        for layer in layers:
            if layer.type in _CONVOLUTIONS and maps[layer.bottoms[0]].dims == 3:
                said = self._parameters[layer.name]
                read, written = maps[layer.bottoms[0]], maps[layer.tops[0]]
                found[layer.name] = ConvolutionShape(read.c, read.h, written.c, written.h, said[1], said.get(7, 1))
        return found

    def _one_by_one(self, layers: list[Any], image: np.ndarray, pool: Any) -> list[float]:
        extractor = self._net.create_extractor()
        extractor.set_blob_allocator(pool)
        extractor.input(self._input, self._ncnn.Mat(image))
        seconds = []
        for layer in layers:
            start = time.perf_counter()
            if layer.bottoms:
                extractor.extract(layer.tops[0], _AS_IT_IS)
            seconds.append(time.perf_counter() - start)
        return seconds


class Ncnn(Runtime):
    """ncnn's files (.param with its .bin), which pnnx makes of TorchScript."""

    name = "ncnn"
    needs = {"ncnn": "ncnn"}  # noqa: RUF012
    writes_with = {"pnnx": "pnnx"}  # noqa: RUF012
    suffixes = (".param", ".bin")
    precisions = (FP32, BF16)
    # Its layers are timed one by one, in a pass that keeps every map, which makes some slower than others: a latency table
    # by those times predicts worse than one by whole networks alone.
    tells_operations = False

    def write(
        self, network: nn.Module, file: Path, size: tuple[int, int], output: str, *, half: bool, texts: Texts = NO_TEXTS
    ) -> None:
        """half: weights alone are float16."""
        # pnnx works in a folder of its own.
        file = file.resolve()
        with tempfile.TemporaryDirectory() as folder:
            traced = Path(folder) / "network.pt"
            Torch().write(network, traced, size, output, half=False)
            shape = f"inputshape=[1,3,{size[0]},{size[1]}]f32"
            files = [f"ncnnparam={file}", f"ncnnbin={file.with_suffix('.bin')}"]
            command = [str(_pnnx()), str(traced), shape, f"fp16={int(half)}", *files]
            # pnnx writes six more files, beside the one that it reads, and a page about its progress.
            made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if made.returncode or not file.is_file():
            last = (made.stderr.strip() or made.stdout.strip() or f"status {made.returncode}").splitlines()[-1]
            raise RuntimesError(f"pnnx cannot write the network for ncnn: {last}")
        if texts:
            with file.open("a", encoding="utf-8") as stream:
                stream.write(f"{_TEXTS}{json.dumps(dict(texts))}\n")

    def open(self, file: Path, settings: Settings) -> Session:
        return NcnnSession(file, settings)


def _texts_of(file: Path) -> dict[str, str]:
    last = file.read_text(encoding="utf-8").rstrip().rpartition("\n")[2]
    return json.loads(last.removeprefix(_TEXTS)) if last.startswith(_TEXTS) else {}


def _parameters_of(file: Path) -> dict[str, dict[int, int]]:
    """Whole numbers that a file gives its layers, by the layer's name and ncnn's number of the parameter."""
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines()[2:]:
        words = line.split()
        if len(words) < 4 or line.startswith("#"):
            continue
        pairs = (word.split("=") for word in words[4 + int(words[2]) + int(words[3]) :])
        found[words[1]] = {int(key): int(value) for key, value in pairs if value.lstrip("-").isdigit()}
    return found


def _pnnx() -> Path:
    """The program that the package pnnx brings, without importing the package, which imports torch anew."""
    found = importlib.util.find_spec("pnnx")
    if found is None or found.origin is None:
        raise MissingLibraryError(Ncnn.name, ["pnnx"])
    folder = Path(found.origin).parent
    return next(path for path in (folder / "pnnx", folder / "pnnx.exe") if path.is_file())
