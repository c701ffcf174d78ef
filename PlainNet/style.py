"""The choices that hold for a whole network, and the two units of the language that they name."""

from __future__ import annotations

from dataclasses import dataclass

from PlainNet.lazy import lazy

SE_ACTIVATIONS = PROJECTION_ACTIVATIONS = ("hard_swish", "relu")


@dataclass(frozen=True)
class Style:
    """Choices that hold for a whole network and are not part of its structure string.

    use_se: squeeze-and-excitation inside super-blocks. no_reslink: residual links (and their projections) are left out.
    no_BN: no batch normalisation anywhere, projections and squeeze-and-excitation included. se_activation: the inner
    activation of squeeze-and-excitation, "relu" in ZenNet's checkpoints, "hard_swish" in GSNet's. projection_activation:
    what closes the projection of a GhostShuffle unit. shuffle_always: GhostShuffle units of stride 2 shuffle their channels
    as those of stride 1 do. bn_eps: added to the variance in batch normalisation.
    """

    use_se: bool = False
    no_reslink: bool = False
    no_BN: bool = False
    se_activation: str = "hard_swish"
    projection_activation: str = "relu"
    shuffle_always: bool = False
    bn_eps: float = 1e-3

    def __post_init__(self) -> None:
        if self.se_activation not in SE_ACTIVATIONS:
            raise ValueError(f"se_activation is {self.se_activation!r}; it must be one of {', '.join(SE_ACTIVATIONS)}")
        if self.projection_activation not in PROJECTION_ACTIVATIONS:
            raise ValueError(
                f"projection_activation is {self.projection_activation!r}; "
                f"it must be one of {', '.join(PROJECTION_ACTIVATIONS)}"
            )
        if not self.bn_eps > 0:
            raise ValueError(f"bn_eps is {self.bn_eps}; it must be above 0")

    def __hash__(self) -> int:
        return self._hash

    @lazy
    def _hash(self) -> int:
        choices = (self.use_se, self.no_reslink, self.no_BN, self.se_activation)
        return hash((*choices, self.projection_activation, self.shuffle_always, self.bn_eps))


PLAIN = Style()
# GSNet's detector runs the searched structure with another unit, which differs in these four choices.
DEPLOYED = Style(use_se=True, projection_activation="hard_swish", shuffle_always=True, bn_eps=1e-5)
UNITS = {"searched": PLAIN, "deployed": DEPLOYED}
