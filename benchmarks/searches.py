"""The searches that are measured: the CIFAR one under 1M parameters and 18 layers in each space, with all four budgets."""

from __future__ import annotations

from pathlib import Path

from gsnet.evolution.settings import PUBLISHED, SearchSettings

ROOT = Path(__file__).parent.parent
XX_START = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
GHOST_START = XX_START.replace("SuperResK3K3", "SuperGhostShuffleK3")
IDW_START = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResIDWE6K3(8,32,2,8,1)SuperResIDWE6K3(32,48,2,32,1)SuperResIDWE6K3(48,96,2,48,1)"
    "SuperConvK1BNRELU(96,512,1,1)"
)
STARTS = {"XXBL": XX_START, "IDW_fixfc": IDW_START, "ghostshuffle": GHOST_START}


def settings_of(space: str, proxy: str, iterations: int) -> SearchSettings:
    """The CIFAR search under 1M parameters and 18 layers, with all four value budgets set."""
    return SearchSettings(
        zero_shot_score=proxy,
        evolution_max_iter=iterations,
        fix_initialize=True,
        origin=True,
        search_space=str(ROOT / f"SearchSpace/search_space_{space}.py"),
        plainnet_struct=STARTS[space],
        batch_size=64,
        round_size=1 if proxy.endswith(("ClosedForm", "Random", "Flops", "Params")) else 32,
        max_layers=18,
        budget_model_size=1e6,
        budget_flops=6e8,
        budget_mac=2e7,
        # The rule that all versions have: what each makes of an iteration can be compared.
        evolution=PUBLISHED,
    )
