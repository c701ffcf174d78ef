"""Which layers of a structure feed the neck: worked out on the value, without a module. No torch needed."""

from __future__ import annotations

from gsnet.interface.options import InputError
from PlainNet import Network, Style
from PlainNet.stages import TapPoint, layer_ends


def tap_points(network: Network, style: Style, strides: tuple[int, ...], rule: str) -> list[TapPoint]:
    """One place for each stride: the first layer at that stride by the rule "reference", the last by "stage_end".

    The coarsest map is always the last at its stride: units behind it would serve nothing. (The published detector has
    one unit there, so that both readings agree.) Raises InputError where the structure has no map of a stride.
    """
    ends = list(layer_ends(network, style))
    points = []
    for stride in strides:
        found = [end for end in ends if end.stride == stride]
        if not found:
            reached = ", ".join(str(s) for s in dict.fromkeys(end.stride for end in ends))
            raise InputError(
                f"The backbone has maps at strides {reached}, and none at {stride}: a detector needs a structure that "
                f"reaches {', '.join(str(s) for s in strides)}"
            )
        points.append(found[0] if rule == "reference" and stride != strides[-1] else found[-1])
    return points
