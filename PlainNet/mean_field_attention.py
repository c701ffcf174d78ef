"""Mean-field rules of average pooling and squeeze-and-excitation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PlainNet.errors import StructureError
from PlainNet.mean_field import Group, State, averaged
from PlainNet.mean_field_activations import hard_swish, rectified, sigmoid, smooth
from PlainNet.mean_field_rules import dense, normalised

if TYPE_CHECKING:
    from PlainNet.block import Style

BN_EPSILON = 1e-3


def average_pooled(state: State, out_size: int) -> State:
    """Adaptive average pooling: what is alike in a window stays, what is not averages out."""
    if state.size % out_size:
        raise StructureError(f"no mean-field rule for pooling a map of {state.size} to {out_size}: windows overlap")
    width = state.size // out_size
    texture = state.texture
    kept = averaged(1.0, texture.reach, width)
    groups = [
        group._replace(
            variance=group.variance * kept,
            covariance=group.covariance * kept,
            third=0.0,
            fourth=group.fourth * kept * kept / width**2,
        )
        for group in state.groups
    ]
    pooled = texture._replace(
        norm=averaged(texture.norm, texture.norm_reach, width),
        overlap=averaged(texture.overlap, texture.overlap_reach, width),
        reach=max(1.0, texture.reach / width**2),
    )
    return State(tuple(groups), out_size, 0, pooled, state.log_scale)


def squeeze_excited(state: State, squeezed_channels: int, style: Style) -> State:
    """Squeeze-and-excitation (Hu et al. 2018): the map times a gate that is the same at all positions of an image."""
    gate = average_pooled(state, 1)
    gate = dense(gate, squeezed_channels, 1, 1, 1)
    gate = gate if style.no_BN else normalised(gate, BN_EPSILON)
    gate = rectified(gate) if style.se_activation == "relu" else smooth(gate, hard_swish)
    gate = dense(gate, state.channels, 1, 1, 1)
    gate = smooth(gate if style.no_BN else normalised(gate, BN_EPSILON), sigmoid)
    return state._replace(
        groups=tuple([_gated(group, gate.groups[0]) for group in state.groups]), log_scale=gate.log_scale
    )


def _gated(group: Group, gate: Group) -> Group:
    """Moments of a product of independent factors."""
    mean = group.mean * gate.mean
    squared_gate = gate.mean * gate.mean
    second = (group.variance + group.mean**2) * (gate.variance + squared_gate)
    product = (group.covariance + group.mean**2) * (gate.covariance + squared_gate)
    fourth_gate = gate.mean**4 + 6 * squared_gate * gate.variance + 3 * gate.variance**2
    return Group(
        group.channels,
        mean,
        second - mean * mean,
        product - mean * mean,
        group.offset * squared_gate,
        group.third * gate.mean * (squared_gate + 3 * gate.variance),
        group.fourth * fourth_gate,
    )
