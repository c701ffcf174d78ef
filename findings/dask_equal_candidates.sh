#!/usr/bin/env bash
# distributed 2026.8.0: a function that draws random numbers, sent to workers several times with equal arguments.
#
# Expected: as many calls as were asked for; that is what `concurrent.futures` does, whose interface this is.
# Seen: functions are taken to be pure unless `pure=False` is said: equal calls get one key and are computed once. Three scores
#   of the same network under three random weights are one score three times, and their spread is exactly 0.
# Last line: as described: three calls with equal arguments ran once, with pure=False three times
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check distributed==2026.8.0 dask==2026.8.0
cd "$folder"
cat >scores.py <<'PYTHON'
import random
from concurrent.futures import ThreadPoolExecutor

from distributed import Client


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def noisy_score(structure):
    return len(structure) + random.random()


if __name__ == "__main__":
    networks = ["ConvKX(3,8,3,1)"] * 3
    with ThreadPoolExecutor() as pool:
        expect("different scores, concurrent.futures", len(set(pool.map(noisy_score, networks))), 3)
    with Client(processes=False, dashboard_address=None) as client:
        expect("different scores, distributed", len(set(client.gather(client.map(noisy_score, networks)))), 1)
        separate = client.gather(client.map(noisy_score, networks, pure=False))
        expect("different scores, distributed with pure=False", len(set(separate)), 3)
    print("as described: three calls with equal arguments ran once, with pure=False three times")
PYTHON
venv/bin/python scores.py
