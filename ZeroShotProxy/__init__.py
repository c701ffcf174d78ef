"""How good a network is before training: one file a proxy, one caller for all of them.

    >>> import PlainNet
    >>> from ZeroShotProxy import ScoringSettings, score
    >>> network = PlainNet.parse("SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)")
    >>> score(network, "Params", ScoringSettings(num_classes=10))
    2354.0

A proxy of your own is a function under `@proxy(...)`, in whatever file.
"""

from ZeroShotProxy.registry import (
    PROXY_FILES,
    Needs,
    Proxy,
    ProxyFailure,
    UnknownProxyError,
    Weights,
    get_proxy,
    list_proxies,
    proxies_named,
    proxy,
    users_proxies,
)
from ZeroShotProxy.scoring import RepeatedScore, ScoringContext, ScoringSettings, repeated_score, score

__all__ = [
    "PROXY_FILES",
    "Needs",
    "Proxy",
    "ProxyFailure",
    "RepeatedScore",
    "ScoringContext",
    "ScoringSettings",
    "UnknownProxyError",
    "Weights",
    "get_proxy",
    "list_proxies",
    "proxies_named",
    "proxy",
    "repeated_score",
    "score",
    "users_proxies",
]
