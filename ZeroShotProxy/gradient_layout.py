"""How the forward pass of a gradient writes a step down: places in a record."""

from __future__ import annotations

from ZeroShotProxy.mean_field_map import GROUPS

# What is written down of a step: kind and numbers, height and width of its map, four figures of its own, where the record
# before begins, how many pairs follow, then channels and factor of each group. What a kind of step has no use for is not
# written. FIRST, OTHER: of a convolution, what it does to the gradient through the BN behind it, for its first and other
# groups; of an activation, FIRST is the chance that it lets a gradient through; of BN the relative variance of the squared
# norm at a position; of a gate and of maps side by side, see there. KEPT, PASSED: of a convolution, what it keeps of a gradient
# that is the same at all positions, and of one that follows norms. Behind the pairs of smooth activations, and of BN for
# gradients of parameters, stands the profile of the variance, of HEIGHT numbers.
KIND, NUMBER, HEIGHT, WIDTH, FIRST, OTHER, BEFORE, PAIR_COUNT, KEPT, PASSED = 0, 1, 5, 6, 7, 8, 9, 10, 11, 12
PAIRS = 13
LONGEST_RECORD = PAIRS + 2 * GROUPS
# A step that stands between two blocks: the norm is noted.
BETWEEN = -1.0
# Records that a network needs more of: the caller comes again with more room.
TOO_LONG = 100
# A gate, which machines of `gradient_growth` refuse that know none.
GATED = 101
