"""A network, or an exported file as it is, timed in one runtime or several, as benchmark_network_latency.py is asked to."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gsnet import runtimes
from gsnet.interface.options import InputError
from gsnet.interface.words import counted, first_line
from gsnet.latency import command as latency
from gsnet.latency.device import FP32, TORCH, device_identity, is_tuned, precision_of
from gsnet.latency.runtime_report import ERROR, PACKAGES, reasons
from gsnet.models.exported_file import described_by, exported_file, images_at_once, runtimes_of, side_of
from gsnet.models.options import resolution_of

if TYPE_CHECKING:
    from torch import nn

_LOG = logging.getLogger(__name__)
_IMAGES = "standard normal noise"


def is_timed_as_it_is(options: Namespace) -> bool:
    """Whether --arch is an exported file, which runtimes run without a module."""
    return options.arch is not None and not options.untrained and exported_file(options.arch) is not None


def time_file(options: Namespace, file: Path) -> dict:
    """Latency of an exported file on this device, as it is, in each runtime of --backend that reads it."""
    for name in ("weights", "weights_url", "plainnet_struct", "use_se", "unit", "num_classes", "export_onnx"):
        if getattr(options, name):
            raise InputError(f"{file} is exported already, and is timed as it is: leave --{name} out")

    def time(backend: str) -> dict:
        session = runtimes.runtime(backend).load(file, settings_of(options, backend))
        asked = Namespace(**vars(options))
        side, asked.batch_size = side_of(file, session, options.input_image_size), batch_of(options, file, session)
        said = described_by(file, session)
        try:
            report = time_session_of(asked, backend, session, side) | {"max_difference": None, "resolution": side}
        except InputError:
            raise
        # Each library has errors of its own for a file that takes something else.
        except Exception as error:
            raise runtimes.RuntimesError(f"{backend} cannot run {file}: {first_line(error)}") from error
        return report | {"classes": said and said.classes, "images": _IMAGES}

    return {"arch": str(file), **time_backends(options, runtimes_of(file, options.backend), time)}


def batch_of(options: Namespace, file: Path, session: runtimes.Session) -> int:
    """--batch_size, or the only one that a file takes. Raises InputError where another one was asked for."""
    own, asked = images_at_once(session), latency.batch_sizes(options)
    if own is None or asked == [own]:
        return options.batch_size
    if asked != [1]:
        raise InputError(f"{file} takes {counted(own, 'image')} at a time: give --batch_size {own}")
    return own


def time_network(options: Namespace, arch: str) -> dict:
    """Latency of the network on this device in each runtime of --backend, and its ONNX file where asked for."""
    if not options.untrained and (file := exported_file(arch)):
        return time_file(options, file)
    backends = runtimes.runtimes_named(options.backend or (TORCH,))
    import torch

    from gsnet.models import expected_input, load_model, source_of
    from gsnet.models.exporting import export
    from gsnet.models.module_costs import width_of
    from gsnet.models.onnx_network import OnnxNetwork

    torch.set_num_threads(options.threads)
    if options.weights and options.untrained:
        raise InputError("--untrained and --weights contradict each other: use one of them")
    found = source_of(arch, options.weights, options.plainnet_struct)
    own_weights = options.weights is None and not options.untrained and found is not None and found.weights is not None
    network = load_model(
        arch,
        num_classes=options.num_classes,
        pretrained=own_weights,
        weights=options.weights,
        plainnet_struct=options.plainnet_struct,
        use_se=options.use_se,
        unit=options.unit,
    ).eval()
    if isinstance(network, OnnxNetwork):
        raise InputError(
            f"{network.file} is exported already: give it as --arch alone, to be timed as it is, or the checkpoint that it was "
            "made from"
        )
    own_side = expected_input(arch, options.weights).resolution
    resolution = resolution_of(arch, options.input_image_size, options.weights) or own_side
    seen = {"resolution": resolution, "classes": width_of(network, resolution), "images": _IMAGES}
    if options.export_onnx:
        seen["onnx_max_difference"] = export(network, options.export_onnx, "onnx", (resolution, resolution))
    timed = time_backends(options, backends, partial(time_backend, options, network, resolution))
    return {"arch": arch, **timed, **seen}


def time_backends(options: Namespace, backends: Sequence[str], time: Callable[[str], dict]) -> dict:
    """The report of one runtime, or of several, of which one that fails does not end the others. Raises InputError."""
    if len(backends) == 1:
        return time(backends[0])
    reports = []
    for backend in backends:
        try:
            reports.append(time(backend))
        except runtimes.MissingLibraryError as error:
            reports.append({"backend": backend, ERROR: str(error), PACKAGES: list(error.packages)})
        except runtimes.RuntimesError as error:
            reports.append({"backend": backend, ERROR: str(error)})
    if all(ERROR in report for report in reports):
        raise InputError("; ".join(reasons(reports)))
    return {"device": device_identity(options.device, options.threads), "backends": reports}


def time_backend(options: Namespace, network: nn.Module, resolution: int, backend: str) -> dict:
    """Latency of a network in one runtime, and by how much its outputs differ from torch's. Raises RuntimesError."""
    from gsnet.runtimes.comparison import checked_session
    from gsnet.runtimes.formats import FORMATS

    settings = settings_of(options, backend)
    _LOG.info("timing in %s", backend)
    # What other runtimes would load of it is not what is exported for them.
    written = options.export_onnx if backend == FORMATS["onnx"] else None
    try:
        session, difference = checked_session(backend, network, (resolution, resolution), settings, file=written)
    except RuntimeError as error:
        raise cannot_run(backend, error) from error
    return time_session_of(options, backend, session, resolution) | {"max_difference": difference}


def time_session_of(options: Namespace, backend: str, session: runtimes.Session, resolution: int) -> dict:
    """Latency of what a runtime runs, and times of its operations where asked for. Raises RuntimesError."""
    try:
        report = latency.time_session(options, backend, session, resolution)
        return report | (operations_of(options, backend, session, resolution) if options.operations else {})
    except RuntimeError as error:
        raise cannot_run(backend, error) from error


def cannot_run(backend: str, error: RuntimeError) -> runtimes.RuntimesError:
    """What a library's own error says: an operator that it does not know, a compiler that is missing, too little memory."""
    return runtimes.RuntimesError(f"{backend} cannot run the network: {first_line(error)}")


def settings_of(options: Namespace, backend: str) -> runtimes.Settings:
    """How a runtime runs the network: as is usual for it, unless the options say otherwise."""
    usual = FP32 if options.fp32 else precision_of(options.device, options.fp16, backend)
    precision = "own" if options.own_precision else usual
    last = options.channels_last or (is_tuned(backend, options.device) and not options.channels_first)
    return runtimes.Settings(options.threads, precision, options.device, last)


def operations_of(options: Namespace, backend: str, session: runtimes.Session, resolution: int) -> dict:
    """Times of a session's operations at the first batch size, or why there are none: the network has been timed either way."""
    images = latency.noise(latency.batch_sizes(options)[0], resolution)
    try:
        return {"operations": [asdict(operation) for operation in session.operations(images)]}
    except runtimes.RuntimesError as error:
        return {"no_operations": f"{backend}: {error}"}
