"""Networks side by side, from Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gsnet.api.callables import ProxyLike, proxy_of, several
from gsnet.api.loading import LoadedNetwork
from gsnet.api.naming import Named, in_words_of_python, said_in_python, source_of
from gsnet.comparing.comparison import Comparison
from gsnet.comparing.comparison import compare as compare_all
from gsnet.comparing.measuring import Questions
from gsnet.comparing.networks import View
from gsnet.comparing.ranking import rankings_among, scoring
from gsnet.interface.options import InputError, device_name
from gsnet.interface.values import check_counts, check_scoring, plain
from gsnet.runtimes import runtimes_named
from ZeroShotProxy import proxies_named

if TYPE_CHECKING:
    from torch import nn

# What the command line calls otherwise.
_KEYWORDS = {"input_image_size": "resolution", "zero_shot_score": "proxies", "arch": "network"}


def compare(
    *networks: Named | nn.Module,
    proxies: ProxyLike | Iterable[ProxyLike] = (),
    ensemble: Sequence[str] = (),
    resolution: int | None = None,
    num_classes: int | None = None,
    use_se: bool = False,
    unit: str | None = None,
    batch_size: int = 16,
    gamma: float = 1e-2,
    seed: int = 0,
    repeats: int = 1,
    device: str | None = None,
    time: Sequence[str] = (),
    latency_table: str | Path | None = None,
    latency_batch_size: int = 1,
    fp16: bool = False,
    threads: int = 1,
) -> Comparison:
    """What networks cost, how long they take, what proxies, searches and trainings say of them, as `gsnet compare` tells it.

    networks: results folders of searches and trainings, what these or `gsnet.load` gave, checkpoints, names, patterns,
    structure files and strings, networks, candidates such as `*result.pareto`, torch modules. proxies: names ("NASWOT,Zen",
    "all") or functions; "Ensemble", "AZ-NAS" and "VKDNW-Aggregate" put the networks in order, the best first. ensemble: what
    "Ensemble" joins, where not what orders networks best (docs/network_order.md). resolution and num_classes: of all networks;
    without them each one's own, 224 pixels and 1000 classes for a bare structure. use_se, unit: of structures. batch_size,
    gamma, seed, repeats: of scores, whose mean counts; device: where they are worked out, and latencies measured. time: names
    of `gsnet.runtimes.runtime_names()`, such as "onnxruntime", or "all" that are installed, which measure a latency here;
    latency_table: a file that predicts it; latency_batch_size, fp16, threads: for which.

    The result is a table that pandas and polars take, with `to_html(path)`, `to_csv(path)`, `correlations`, `searches` and
    `trainings`. What fails for one network is told in its column `error`. Raises InputError, UnknownProxyError.
    """
    resolution, num_classes, gamma, seed = plain(resolution), plain(num_classes), plain(gamma), plain(seed)
    batch_size, repeats = plain(batch_size), plain(repeats)
    latency_batch_size, threads = plain(latency_batch_size), plain(threads)
    check_counts(batch_size=batch_size, repeats=repeats, latency_batch_size=latency_batch_size, threads=threads)
    own = {"resolution": resolution, "num_classes": num_classes}
    check_counts(**{name: value for name, value in own.items() if value is not None})
    check_scoring(gamma, seed)
    table = None if latency_table is None else Path(latency_table).expanduser()
    if table is not None and not table.is_file():
        raise InputError(f"There is no file {table}: latency_table is one of benchmark_network_latency.py")
    named = _each(proxies)
    with said_in_python(_KEYWORDS):
        rankings = rankings_among((one for one in named if isinstance(one, str)), ",".join(several(ensemble)))
    questions = Questions(
        view=View(resolution, num_classes, use_se, unit),
        proxies=tuple(proxy_of(source) for source in scoring(named, rankings)),
        rankings=rankings,
        seeds=range(seed, seed + repeats),
        batch_size=batch_size,
        gamma=gamma,
        device=device_name(None, device),
        runtimes=runtimes_named((time,) if isinstance(time, str) else time),
        latency_table=table,
        latency_batch_size=latency_batch_size,
        fp16=fp16,
        threads=threads,
    )
    return _in_words_of_python(compare_all([_with_results(network) for network in networks], questions))


def _in_words_of_python(found: Comparison) -> Comparison:
    """What is said of networks that have failed, and of the conditions, with keywords in place of flags."""
    for row in found.rows:
        row.failures = {name: in_words_of_python(reason, _KEYWORDS) for name, reason in row.failures.items()}
        row.error = row.error and in_words_of_python(row.error, _KEYWORDS)
    found["error"] = [row.reasons() for row in found.rows]
    found.notes = [in_words_of_python(note, _KEYWORDS) for note in found.notes]
    return found


def _with_results(network: object) -> object:
    """Where a network is read, together with its training where it was loaded from one's folder."""
    if isinstance(network, LoadedNetwork) and network.folder is not None:
        return network.folder
    return source_of(network)


def _each(proxies: ProxyLike | Iterable[ProxyLike]) -> list[ProxyLike]:
    given = list(proxies) if isinstance(proxies, Iterable) and not isinstance(proxies, str) else [proxies]
    found: list[ProxyLike] = []
    for one in given:
        found += proxies_named(one) if isinstance(one, str) else [one]
    return list(dict.fromkeys(found))
