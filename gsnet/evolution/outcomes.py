"""What becomes of a proposal, in words."""

from __future__ import annotations

SCORED, DUPLICATE, OVER_BUDGET, FAILED = "scored", "duplicate", "over budget", "failed"
