#!/usr/bin/env bash
# numba 0.68.1, numpy 2.4.6: one compiled function hands an array to another one in a loop.
#
# Expected: compiled code hands an address on; whoever called from Python holds the array anyway.
# Seen: around every call that is not put in line references are counted up and down, atomically: the finished machine code calls
#   NRT_incref, and a loop of small steps takes more than twice the time of the same loop without (4 times here). Compiled with the
#   undocumented option _nrt=False, for functions that make no arrays, the calls are gone and the results are the same bits.
# Last line: as described: references are counted at every call, which takes more than half of the time of small steps
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import time

import numpy as np
from numba import njit

ROUNDS = 2_000_000


def compiled(**options):
    """A loop, and the step that it hands an array to, as large as a rule of a simulation."""

    @njit(**options)
    def step(values, place):
        total = 0.0
        for shift in range(4):
            total += values[(place + shift) % 16] * 0.5
            if total > 1e9:
                total = np.sqrt(total)
        if place % 3 == 0:
            values[place % 16] = np.sin(total)
        return total

    @njit(**options)
    def run(values, rounds):
        total = 0.0
        for place in range(rounds):
            total += step(values, place)
        return total

    return run


def seconds(run):
    """The least of some measurements, of the processor."""
    least = float("inf")
    for _ in range(7):
        values = np.ones(16)
        begun = time.process_time()
        run(values, ROUNDS)
        least = min(least, time.process_time() - begun)
    return least


def expect(what, seen, stated):
    print(f"{what}: {seen}", flush=True)
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


usual, uncounted = compiled(), compiled(_nrt=False)
results = [run(np.ones(16), 1_000) for run in (usual, uncounted)]
counted = ["NRT_incref" in next(iter(run.inspect_asm().values())) for run in (usual, uncounted)]
ratio = seconds(usual) / seconds(uncounted)
print(f"times as long with counted references: {ratio:.1f}")
expect("the machine code counts references", counted[0], True)
expect("with _nrt=False it does", counted[1], False)
expect("both compute the same bits", results[0] == results[1], True)
expect("counting takes more than half of the time", ratio > 2, True)
print("as described: references are counted at every call, which takes more than half of the time of small steps")
PYTHON
