#!/usr/bin/env bash
# mlflow-skinny 3.1.0: the program's own log, after a client was made for a new SQLite store.
#
# Expected: a client leaves the logging of the program that makes it alone, as that of 3.17 does.
# Seen: making the store's tables runs alembic's fileConfig, which takes the root logger's handlers away and sets its level to
#   WARNING. The program's log file ends there, without a word.
# Last line: as described: the log has the line before the client was made and not the one after
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlflow-skinny==3.1.0 'sqlalchemy==2.0.44' alembic==1.17.0
cd "$folder"
cat >job.py <<'PYTHON'
import logging

from mlflow import MlflowClient

logging.basicConfig(filename="job.log", level=logging.INFO)
logging.info("before")
MlflowClient("sqlite:///runs.db").create_experiment("job")
logging.info("after")
lines = [line.rsplit(":", 1)[-1].strip() for line in open("job.log")]
print("lines of the log:", [line for line in lines if line in ("before", "after")])
if "before" not in lines or "after" in lines:
    raise SystemExit("changed: the log ended where the client was made")
print("as described: the log has the line before the client was made and not the one after")
PYTHON
venv/bin/python job.py
