#!/usr/bin/env bash
# webdataset 1.0.2: samples whose names hold a dot, as frames named by seconds or tiles named by coordinates do.
#
# Expected: what its TarWriter takes its reader gives back: four samples of a picture and a class each.
# Seen: a name ends at its first dot. The writer takes `clip_0.5s`, `clip_0.7s` and `clip_0.9s`, and the reader makes one sample of
#   them, `clip_0`, with fields `5s.png`, `7s.png` and so on: three pictures of four are no samples of their own any more. Writing
#   raises nothing and counts four; reading without decoding neither, and a training that asks for `png` finds none.
# Last line: as described: four samples are written, two are read, one of which holds three pictures
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check webdataset==1.0.2 braceexpand==0.1.7 numpy==2.4.6 pyyaml==6.0.3
cd "$folder"
venv/bin/python - <<'PYTHON'
import webdataset


def round_trip(names):
    """What is read of samples that were written under these names: name and fields of each."""
    with webdataset.TarWriter("samples.tar") as writer:
        for number, name in enumerate(names):
            writer.write({"__key__": name, "png": b"picture %d" % number, "cls": number})
    read = list(webdataset.WebDataset("samples.tar", shardshuffle=False))
    return {one["__key__"]: sorted(field for field in one if not field.startswith("__")) for one in read}


seconds = ["0.5s", "0.7s", "0.9s", "1.1s"]
dotted = round_trip([f"clip_{one}" for one in seconds])
plain = round_trip([f"clip_{one.replace('.', '-')}" for one in seconds])
print(f"with dots: {dotted}\nwithout: {plain}")
fields = ["5s.cls", "5s.png", "7s.cls", "7s.png", "9s.cls", "9s.png"]
if dotted != {"clip_0": fields, "clip_1": ["1s.cls", "1s.png"]} or len(plain) != 4:
    raise SystemExit("changed")
if any(one != ["cls", "png"] for one in plain.values()):
    raise SystemExit("changed")
print("as described: four samples are written, two are read, one of which holds three pictures")
PYTHON
