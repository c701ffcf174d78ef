"""GhostShuffle space with a fixed head (GSNet)."""

from PlainNet.SuperGhostShuffle import SuperGhostShuffleK3, SuperGhostShuffleK5, SuperGhostShuffleK7
from SearchSpace.candidates import TypedSpace

block_types = (SuperGhostShuffleK3, SuperGhostShuffleK5, SuperGhostShuffleK7)
_space = TypedSpace(block_types, mutate_head=False)
gen_search_space = _space.gen_search_space
sample_block = _space.sample_block
neighbours = _space.neighbours
