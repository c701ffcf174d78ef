"""Programs that run a network: torch itself, and those that run it on the device where it is deployed.

One contract for all (`gsnet.runtimes.contract`): `make` a session from a network, or `load` one from a file; run it on numpy
arrays, time it, ask for the times of its operations, compare its outputs with torch's (`gsnet.runtimes.comparison`).
`runtime("openvino")` gives a runtime by its name, `register` makes one of a user's own known.

Importing this room needs neither torch nor any of these programs.
"""

from gsnet.runtimes.contract import (
    ConvolutionShape,
    MissingLibraryError,
    Operation,
    Runtime,
    RuntimesError,
    Session,
    Settings,
)
from gsnet.runtimes.registry import register, runtime, runtime_names, runtimes_named, way_of_rewriting

__all__ = [
    "ConvolutionShape",
    "MissingLibraryError",
    "Operation",
    "Runtime",
    "RuntimesError",
    "Session",
    "Settings",
    "register",
    "runtime",
    "runtime_names",
    "runtimes_named",
    "way_of_rewriting",
]
