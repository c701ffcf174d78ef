#!/usr/bin/env bash
# torchmetrics 1.9.0 (torch 2.14.1) beside scipy 1.17.1: rank correlation of fifty scores with accuracies, one score not a number.
#
# Expected: not a number, as scipy gives it, or an error; a failed score has no rank.
# Seen: figures that look like any other. kendall_rank_corrcoef counts its pairs as neither in order nor out of it: halfway between
#   the score as the lowest and as the highest of all. spearman_corrcoef ranks it highest: the network whose proxy failed, often the
#   worst, is taken for the best.
# Last line: as described: with one score not a number scipy gives none, torchmetrics two figures that look like any other
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torchmetrics==1.9.0 torch==2.14.1 scipy==1.17.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' 2>/dev/null
import numpy
import torch
from scipy.stats import kendalltau, spearmanr
from torchmetrics.functional import kendall_rank_corrcoef, spearman_corrcoef

numbers = numpy.random.default_rng(0)
accuracies = numbers.permutation(50).astype(numpy.float32)
scores = accuracies + numbers.permutation(50).astype(numpy.float32) / 2


def with_worst(value):
    changed = scores.copy()
    changed[accuracies.argmin()] = value
    return changed


for name, ours, theirs in (("Kendall", kendalltau, kendall_rank_corrcoef), ("Spearman", spearmanr, spearman_corrcoef)):
    by_scipy = {value: float(ours(with_worst(value), accuracies)[0]) for value in (-1.0, numpy.inf, numpy.nan)}
    seen = float(theirs(torch.from_numpy(with_worst(numpy.nan)), torch.from_numpy(accuracies)))
    lowest, highest, missing = by_scipy.values()
    print(f"{name}: scipy {lowest:.3f} with the worst one's score lowest, {highest:.3f} with infinity, {missing} with not a number;")
    print(f"  torchmetrics with not a number {seen:.3f}")
    stated = (lowest + highest) / 2 if name == "Kendall" else highest
    if not numpy.isnan(missing) or abs(seen - stated) > 1e-4 or lowest - highest < 0.02:
        raise SystemExit("changed")
print("as described: with one score not a number scipy gives none, torchmetrics two figures that look like any other")
PYTHON
