"""Inverted depth-wise space with a fixed head (Zen-NAS's FLOPs searches)."""

from PlainNet.SuperResIDWEXKX import VARIANTS
from SearchSpace.candidates import TypedSpace

block_types = VARIANTS
_space = TypedSpace(block_types, largest_width=None, mutate_head=False)
gen_search_space = _space.gen_search_space
sample_block = _space.sample_block
neighbours = _space.neighbours
