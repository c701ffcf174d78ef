"""ResNet-like space: basic blocks and bottlenecks with kernels 3, 5 and 7 (Zen-NAS's latency and CIFAR searches)."""

from PlainNet.SuperResK1KXK1 import SuperResK1K3K1, SuperResK1K5K1, SuperResK1K7K1
from PlainNet.SuperResKXKX import SuperResK3K3, SuperResK5K5, SuperResK7K7
from SearchSpace.candidates import TypedSpace

block_types = (SuperResK1K3K1, SuperResK1K5K1, SuperResK1K7K1, SuperResK3K3, SuperResK5K5, SuperResK7K7)
_space = TypedSpace(block_types)
gen_search_space = _space.gen_search_space
sample_block = _space.sample_block
neighbours = _space.neighbours
