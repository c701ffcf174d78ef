#!/usr/bin/env bash
# wandb 0.31.0: what a training that was ended by SIGKILL leaves of an offline run.
#
# Expected: what `run.log` took ten seconds ago is in the run's file; the service that writes it is a process of its own, which
#   lives on.
# Seen: the file has its head alone, 7 bytes, and stays so: it is written every 15 seconds, and not at all once the client is
#   gone. A preempted job loses its last quarter of a minute, a short one everything; `wandb sync` finds nothing to send.
# Last line: as described: ten seconds after run.log a killed offline run has a file of 7 bytes
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check wandb==0.31.0
cd "$folder"
cat >job.py <<'PYTHON'
import os
import signal
import time

import wandb

run = wandb.init(project="offline", dir="out")
run.log({"loss": 1.0}, step=1)
time.sleep(10)
os.kill(os.getpid(), signal.SIGKILL)
PYTHON
mkdir out
WANDB_MODE=offline WANDB_SILENT=true venv/bin/python job.py || status=$?
[[ ${status:-0} == 137 ]] || { echo "changed: the job was not killed (${status:-0})"; exit 1; }
sleep 20
size=$(stat -c %s out/wandb/offline-run-*/*.wandb)
echo "bytes of the run's file 20 seconds after the kill: $size"
[[ $size == 7 ]] || { echo "changed: the file had 7 bytes"; exit 1; }
echo "as described: ten seconds after run.log a killed offline run has a file of 7 bytes"
