"""The networks that a search can visit: where the layers of a table and the networks of a calibration come from."""

from __future__ import annotations

import random
from collections.abc import Callable

from PlainNet import Network, StructureError
from SearchSpace import SearchSpace, search_choice
from SearchSpace.mutation import mutate

_STEPS_A_WALK = 60
_REPLACEMENTS = 2
_MOST_ATTEMPTS = 200


def random_networks(
    space: SearchSpace,
    start: Network | None,
    count: int,
    seed: int,
    admits: Callable[[Network], bool] = lambda network: True,
) -> list[Network]:
    """Different networks at the ends of random walks of mutations, as a search makes them; `admits` says which may occur.

    start: where walks begin; without it, at random networks of the space's blocks. Raises StructureError where no walk
    can move.
    """
    generator = random.Random(seed)
    found: dict[str, Network] = {}
    attempts = 0
    while len(found) < count:
        network = _walk(space, start, generator, admits)
        found.setdefault(network.text, network)
        attempts += 1
        if attempts > _MOST_ATTEMPTS + 20 * count:
            raise StructureError(f"{space.name}: only {len(found)} networks are within the budgets")
    return list(found.values())


def _walk(
    space: SearchSpace, start: Network | None, generator: random.Random, admits: Callable[[Network], bool]
) -> Network:
    network = start.split() if start else search_choice.random_network(space.block_types, generator)
    for _ in range(generator.randrange(1, _STEPS_A_WALK + 1)):
        try:
            candidate = mutate(network, space.sample_block, generator, _REPLACEMENTS)
        except StructureError:
            continue
        if admits(candidate):
            network = candidate
    return network
