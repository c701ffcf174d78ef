"""What has happened in a search so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gsnet.evolution.population import Member


@dataclass
class Progress:
    """What has happened so far, for logs and progress bars."""

    next_iteration: int = 0
    best: Member | None = None
    outcomes: Counter[str] = field(default_factory=Counter)

    def describe(self) -> str:
        """Outcomes as text: `412 scored, 31 duplicate, 57 over budget (parameters)`."""
        return ", ".join(f"{count:,} {outcome}" for outcome, count in self.outcomes.most_common())
