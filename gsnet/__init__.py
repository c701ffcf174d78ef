"""GSNet: finds convolutional backbones for small machines without training a single candidate.

    import gsnet

    result = gsnet.search("SuperConvK3BNRELU(3,16,1,1)…", space="ghostshuffle", proxy="ZenClosedForm",
                          budgets={"params": 1e6, "layers": 18}, iterations=20_000)
    print(result.best.score, result.best.network)
    print(gsnet.analyze(result.best.network, resolution=32, num_classes=10))

docs/python.md shows all of it. Importing this package imports neither torch nor anything else of weight: each name is looked up
when it is first used.
"""

from typing import TYPE_CHECKING

from gsnet.interface.lazily import lazily

if TYPE_CHECKING:
    from gsnet.api.classifying import Classification, Classifier
    from gsnet.api.comparing import compare
    from gsnet.api.detecting import Detections, Detector
    from gsnet.api.exporting import Exported, export
    from gsnet.api.loading import LoadedNetwork, load
    from gsnet.api.networks import analyze, parse, score
    from gsnet.api.plugins import load_plugin
    from gsnet.api.search import Search, search
    from gsnet.api.trained import TrainingResult
    from gsnet.api.training import train
    from gsnet.api.validating import Validation, validate
    from gsnet.comparing.comparison import Comparison
    from gsnet.evolution.judging import SearchFailed
    from gsnet.evolution.recorded import Row
    from gsnet.evolution.result import SearchResult, Table
    from gsnet.evolution.running import Running
    from gsnet.evolution.settings import SearchError
    from gsnet.interface.options import InputError
    from gsnet.models.analysis import Analysis
    from gsnet.training.settings import TrainingFailed

    __version__: str

_MODULES = {
    "Analysis": "models.analysis",
    "Classification": "api.classifying",
    "Classifier": "api.classifying",
    "Comparison": "comparing.comparison",
    "Detections": "api.detecting",
    "Detector": "api.detecting",
    "Exported": "api.exporting",
    "InputError": "interface.options",
    "LoadedNetwork": "api.loading",
    "Row": "evolution.recorded",
    "Running": "evolution.running",
    "Search": "api.search",
    "SearchError": "evolution.settings",
    "SearchFailed": "evolution.search",
    "SearchResult": "evolution.result",
    "Table": "evolution.result",
    "TrainingFailed": "training.settings",
    "TrainingResult": "api.trained",
    "Validation": "api.validating",
    "analyze": "api.networks",
    "compare": "api.comparing",
    "export": "api.exporting",
    "load": "api.loading",
    "load_plugin": "api.plugins",
    "parse": "api.networks",
    "score": "api.networks",
    "search": "api.search",
    "train": "api.training",
    "validate": "api.validating",
}
__all__ = [
    "Analysis",
    "Classification",
    "Classifier",
    "Comparison",
    "Detections",
    "Detector",
    "Exported",
    "InputError",
    "LoadedNetwork",
    "Row",
    "Running",
    "Search",
    "SearchError",
    "SearchFailed",
    "SearchResult",
    "Table",
    "TrainingFailed",
    "TrainingResult",
    "Validation",
    "analyze",
    "compare",
    "export",
    "load",
    "load_plugin",
    "parse",
    "score",
    "search",
    "train",
    "validate",
]

# What looks blocks, proxies, spaces and networks up, for which installed packages may have more of them.
_USING_NAMES = {"Detector", "Search", "analyze", "compare", "load", "load_plugin", "parse", "score", "search"}
_named = lazily(__name__, _MODULES)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from gsnet.interface.version import version

        return version()
    found = _named(name)
    if name in _USING_NAMES:
        from gsnet.interface.plugins import load_installed

        load_installed()
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
