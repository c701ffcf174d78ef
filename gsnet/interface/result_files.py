"""What the files of results folders are called: of searches and of trainings."""

from __future__ import annotations

BEST_JSON, BEST_STRUCTURE, DATABASE = "best.json", "best_structure.txt", "search.db"
CONFIG = "config.json"
LATEST_CHECKPOINT, BEST_CHECKPOINT = "latest-params_rank0.pth", "best-params_rank0.pth"
TRAINING_LOG = "log.csv"
# Of --log: curves of a search while it runs, and which runs of other programs a folder belongs to.
CURVES, CURVES_FOLDER, TRACKED = "curves.csv", "curves", "tracking.json"
