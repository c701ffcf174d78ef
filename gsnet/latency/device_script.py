"""Time the networks of this folder on this device, and write what they took as JSON.

    python time_networks.py
    python time_networks.py --runtime openvino --threads 4 --output openvino.json

Needs Python 3.9, numpy and the runtime alone: onnxruntime, openvino, opencv-python-headless or ncnn, as the files are. Started
again, it goes on where it was stopped, and it ends with a table of what each network took. A network that cannot
run is written down with the reason, and the others are timed; the exit status is then 1. The JSON file goes back to the
computer that searches, which leaves such networks out:

    python benchmark_network_latency.py --import_timings times.json --latency_table device.db
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

NETWORKS, TIMES = "networks.json", "times.json"
FORMAT = 1
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
_LONGEST_REASON = 300
# Of a structure in the table at the end.
_WIDEST = 60
Run = Callable[[np.ndarray], object]


def open_onnxruntime(file: Path, threads: int) -> Run:
    """A function that runs an ONNX file on images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})


@cache
def openvino_core() -> Any:
    """The one core of this process: after two, on processors with AMX, an interrupt could end it without a word."""
    import openvino

    return openvino.Core()


def open_openvino(file: Path, threads: int) -> Run:
    """The same in OpenVINO, computed in float32."""
    wanted = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    wanted["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = openvino_core().compile_model(str(file), "CPU", wanted)
    request = compiled.create_infer_request()
    return lambda images: request.infer({0: images})


def open_opencv(file: Path, threads: int) -> Run:
    """The same in OpenCV's module for networks."""
    import cv2

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromONNX(str(file))

    def run(images: np.ndarray) -> object:
        net.setInput(images)
        return net.forward()

    return run


def open_ncnn(file: Path, threads: int) -> Run:
    """The same in ncnn, computed in float32, one image after the other."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    if net.load_param(str(file)) or net.load_model(str(file.with_suffix(".bin"))):
        raise RuntimeError(f"ncnn cannot read {file}")
    (source,), (result,) = net.input_names(), net.output_names()

    def run(images: np.ndarray) -> None:
        for image in images:
            extractor = net.create_extractor()
            extractor.input(source, ncnn.Mat(image))
            if extractor.extract(result)[0]:
                raise RuntimeError(f"ncnn cannot run {file.name}")

    return run


class Program(NamedTuple):
    """What runs networks: how it opens a file, the runtimes whose exports it reads, the module and what pip calls it."""

    open: Callable[[Path, int], Run]
    reads: tuple[str, ...]
    module: str
    package: str


RUNTIMES = {
    "onnxruntime": Program(open_onnxruntime, ("onnxruntime",), "onnxruntime", "onnxruntime"),
    "openvino": Program(open_openvino, ("openvino", "onnxruntime"), "openvino", "openvino"),
    "opencv": Program(open_opencv, ("opencv", "onnxruntime"), "cv2", "opencv-python-headless"),
    "ncnn": Program(open_ncnn, ("ncnn",), "ncnn", "ncnn"),
}


def device_name() -> str:
    """What this device calls its processor."""
    for file in (Path("/proc/device-tree/model"), Path("/proc/cpuinfo")):
        try:
            text = file.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
        except OSError:
            continue
        if file.name == "model":
            return text
        for line in text.splitlines():
            if line.partition(":")[0].strip() in ("model name", "Hardware"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def seconds_of(run: Run, images: np.ndarray, clock: Callable[[], float], least: float) -> float:
    """Lower quartile of at least 3 runs in about `least` seconds, after a warm-up: what disturbs a run only makes it longer."""
    run(images)
    run(images)
    times: list[float] = []
    while len(times) < 3 or sum(times) < least:
        start = clock()
        run(images)
        times.append(clock() - start)
    return sorted(times)[len(times) // 4]


def write_whole(file: Path, value: Any) -> None:
    """Write JSON so that a kill leaves either what was there or all of it."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(json.dumps(value, indent=0), encoding="utf-8")
    part.replace(file)


def started(output: Path, told: dict[str, Any]) -> dict[str, Any]:
    """What was timed before. Ends with a sentence where that was of something else, and for a folder."""
    if output.is_dir():
        refuse(f"{output} is a folder: give --output a file")
    if not output.is_file():
        return {**told, "times": []}
    before = read_json(output)
    for key, value in told.items():
        if before.get(key) != value:
            # The list of networks is pages long.
            which = "other networks" if key == "networks" else f"{key} {before.get(key)!r}, and this is {value!r}"
            refuse(f"{output} was written for {which}: give another --output")
    return before


def read_json(file: Path) -> dict[str, Any]:
    """What a JSON file holds. Ends with a sentence where it cannot be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        refuse(f"{file} cannot be read: {error}")
    return found if isinstance(found, dict) else {}


def turns_left(result: dict[str, Any], rounds: int) -> list[tuple[str, int]]:
    """Files that are still to be timed, and in which round."""
    done = {(one["file"], one["round"]) for one in result["times"]}
    # A network that was drawn twice, for the table and to calibrate it, is one file.
    files = list(dict.fromkeys(one["file"] for one in result["networks"]["networks"]))
    turns = []
    for number in range(rounds):
        # A device's speed drifts: rounds spread each network over the whole time, in another order each.
        order = random.Random(number).sample(files, len(files))
        turns += [(file, number) for file in order if (file, number) not in done]
    return turns


def time_all(result: dict[str, Any], folder: Path, options: argparse.Namespace) -> None:
    """Time every network once in each round, and keep each time, or why there is none, in the output file."""
    told = result["networks"]
    images = np.random.default_rng(0).standard_normal(
        (told["batch"], 3, told["resolution"], told["resolution"]), dtype=np.float32
    )
    # One thread's own time stands still while other programs have the processor.
    clock = time.process_time if options.threads == 1 else time.perf_counter
    turns, given_up = turns_left(result, options.rounds), set()
    for place, (file, number) in enumerate(turns):
        # One that failed before is tried again, but once: memory may have been short then.
        if file in given_up:
            continue
        try:
            run = RUNTIMES[options.runtime].open(folder / file, options.threads)
            seconds = seconds_of(run, images, clock, options.seconds)
        except Exception as error:  # each runtime has errors of its own
            given_up.add(file)
            reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
            result["failed"][file] = reason
            print(f"{place + 1} of {len(turns)}: {file} cannot run: {reason}", file=sys.stderr, flush=True)
        else:
            result["failed"].pop(file, None)
            result["times"].append({"file": file, "round": number, "seconds": seconds})
            print(f"{place + 1} of {len(turns)}: {file} {seconds * 1e3:.3f} ms", flush=True)
        write_whole(options.output, result)


def summary(result: dict[str, Any]) -> list[str]:
    """A table of the networks that were timed, the quickest first."""
    structures = {one["file"]: one["structure"] for one in result["networks"]["networks"]}
    times: dict[str, list[float]] = {}
    for one in result["times"]:
        times.setdefault(one["file"], []).append(one["seconds"])
    lines = ["least ms   next  rounds  network"]
    for file, seconds in sorted(times.items(), key=lambda item: min(item[1])):
        least, *others = sorted(seconds)
        following = f"{others[0] / least - 1:+.1%}" if others else "-"
        structure = structures[file] if len(structures[file]) <= _WIDEST else f"{structures[file][: _WIDEST - 3]}..."
        lines.append(f"{least * 1e3:8.3f} {following:>6} {len(seconds):7}  {Path(file).stem}  {structure}")
    return lines


def refuse(message: str) -> NoReturn:
    """End with a sentence and the status of bad input, which that of networks that fail is not."""
    print(message, file=sys.stderr)
    sys.exit(BAD_INPUT)


def above_zero(text: str) -> float:
    """A number above 0, for argparse."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def at_least_one(text: str) -> int:
    """A whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def main() -> int:
    """Time every network once in each round; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = Path(__file__).resolve().parent
    told = read_json(folder / NETWORKS)
    if not told.get("networks"):
        refuse(f"{folder / NETWORKS} lists no networks: was the export of this folder interrupted? Its command goes on")
    names = [name for name, program in RUNTIMES.items() if told["exported_for"] in program.reads]
    parser.add_argument("--runtime", choices=names, default=names[0], help="what runs them (default: %(default)s)")
    parser.add_argument("--threads", type=at_least_one, default=1, help="of the processor (default: 1)")
    parser.add_argument(
        "--rounds", type=at_least_one, default=5, help="each network's turns; the least counts (default: 5)"
    )
    parser.add_argument("--seconds", type=above_zero, default=0.15, help="of a turn, about (default: 0.15)")
    parser.add_argument(
        "--device_name", default=device_name(), help="as the table calls this device (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=folder / TIMES, help="what is written (default: %(default)s)")
    options = parser.parse_args()

    try:
        library = __import__(RUNTIMES[options.runtime].module)
    except ImportError as error:
        others = " or ".join(name for name in names if name != options.runtime)
        package = RUNTIMES[options.runtime].package
        refuse(f"{error}: install {package}" + (f", or give --runtime {others}" if others else ""))
    version = getattr(library, "__version__", "")
    about = {"format": FORMAT, "device": options.device_name, "threads": options.threads}
    about.update(runtime=options.runtime, version=version, precision="fp32", networks=told)
    result = {"failed": {}, **started(options.output, about)}
    try:
        # Whether that is possible is told before the first network is timed.
        write_whole(options.output, result)
        time_all(result, folder, options)
    except KeyboardInterrupt:
        print(f"stopped: {options.output} keeps what was timed, and the same command goes on", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        refuse(f"{options.output} cannot be written: {error.strerror}")
    print("\n".join(["", *summary(result)]), flush=True)
    if result["failed"]:
        files = {one["file"] for one in told["networks"]}
        count = f"{len(result['failed'])} of {len(files)} networks cannot run on this device"
        print(f"{count}, the others are timed: {options.output}", file=sys.stderr)
        return FAILED
    print(f"all timed: {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
