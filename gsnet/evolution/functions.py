"""Functions that a program gives to a search in place of names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from PlainNet import Network, SuperBlock
from SearchSpace import SearchSpace
from ZeroShotProxy import Proxy

Figure = Callable[[Network], float]
NO_FIGURES: Mapping[str, Figure] = MappingProxyType({})


@dataclass(frozen=True)
class Functions:
    """What a search does not find by the names in its settings.

    proxies: of this search alone. space, block_types: what is searched, where the settings name no files. figures: what is said
    of a network beside its costs, by name, in the order of `SearchSettings.figures`; own budgets and objectives are made of it.
    """

    proxies: tuple[Proxy, ...] = ()
    space: SearchSpace | None = None
    block_types: tuple[type[SuperBlock], ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def of_the_program(self) -> bool:
        """Whether some of it has a name in the settings that says nothing of what it does."""
        return bool(self.proxies or self.figures or (self.space and self.space.is_function))


NO_FUNCTIONS = Functions()
