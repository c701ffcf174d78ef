#!/usr/bin/env bash
# torch.onnx.export of torch 2.14.1 (the exporter that is its default).
#
# Expected: the file holds the graph and the weights.
# Seen: every node also holds the Python code that it comes from, with the folders of the computer that exported, and the scopes of
#   its modules: of a network of forty small layers these texts are as long as the weights.
# Last line: as described: nodes name the folder of the network's source, in texts as long as the weights
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 numpy==2.4.6
mkdir "$folder/someones_project"
cat >"$folder/someones_project/network.py" <<'PYTHON'
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layers = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1, groups=2) for _ in range(40)])

    def forward(self, images):
        maps = self.stem(images)
        for layer in self.layers:
            maps = layer(maps).relu()
        return maps.mean((2, 3))
PYTHON
cd "$folder/someones_project"
../venv/bin/python - <<'PYTHON' 2>/dev/null
import onnx
import torch
from network import Network

torch.onnx.export(Network().eval(), (torch.zeros(1, 3, 16, 16),), "network.onnx", external_data=False, verbose=False)
model = onnx.load("network.onnx")
weights = sum(len(one.raw_data) for one in model.graph.initializer)
told = sum(len(prop.key) + len(prop.value) for node in model.graph.node for prop in node.metadata_props)
size = model.ByteSize()
named = sum("someones_project/network.py" in prop.value for node in model.graph.node for prop in node.metadata_props)
print(f"file {size} bytes, weights {weights}, texts of nodes {told}")
print(f"{named} of {len(model.graph.node)} nodes name the source's folder")
if not (named >= 80 and told > 0.9 * weights):
    raise SystemExit("changed")
print("as described: nodes name the folder of the network's source, in texts as long as the weights")
PYTHON
