#!/usr/bin/env bash
# ExecuTorch 1.5.1 (XNNPACK) and litert-torch 0.10.0 with torch 2.14.1: maps enlarged by a factor that does not fit their side.
#
# Expected: functional.interpolate(scale_factor=1.5, mode="bilinear") of 7 pixels gives 10, each of them 1 / 1.5 pixels from the
#   next, as in torch; or a refusal.
# Seen: both keep the 10 and forget the 1.5: pixels are 7 / 10 apart and the map is stretched; made smaller by 0.4, the last of two
#   pixels is 1.5 pixels off. ExecuTorch's own operator is right, so that its program answers otherwise as soon as XNNPACK takes
#   the layer. With a factor that fits the side, and with recompute_scale_factor=True, which is how torch is asked for
#   this, all agree.
# Last line: as described: XNNPACK and LiteRT go by the sides alone, ExecuTorch without XNNPACK by the factor
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 executorch==1.5.1 litert-torch==0.10.0 ai-edge-litert==2.3.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON' 2>error.txt | grep -E "^(last row|as described|changed)" || { tail -n 5 error.txt; exit 1; }
import warnings

warnings.simplefilter("ignore")
import litert_torch  # noqa: E402
import numpy  # noqa: E402
import torch  # noqa: E402
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner  # noqa: E402
from executorch.exir import to_edge_transform_and_lower  # noqa: E402
from executorch.runtime import Runtime  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402


class Enlarge(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, maps):
        return functional.interpolate(maps, mode="bilinear", **self.options)


def by_executorch(layer, maps, partitioner):
    program = to_edge_transform_and_lower(torch.export.export(layer, (maps,)), partitioner=partitioner).to_executorch()
    return Runtime.get().load_program(program.buffer).load_method("forward").execute([maps])[0].numpy()


def last_row(found):
    return round(float(numpy.asarray(found)[0, 0, -1, 0]), 2)


# Every pixel is the number of its row.
maps = torch.arange(7.0).repeat(4, 7, 1).mT[None].contiguous()
for options, by_factor, by_sides in (
    ({"scale_factor": 2}, 6.0, 6.0),
    ({"scale_factor": 1.5}, 5.83, 6.0),
    ({"scale_factor": 0.4}, 3.25, 4.75),
    ({"scale_factor": 0.4, "recompute_scale_factor": True}, 4.75, 4.75),
):
    layer = Enlarge(**options).eval()
    for name, found, stated in (
        ("torch", layer(maps), by_factor),
        ("ExecuTorch", by_executorch(layer, maps, []), by_factor),
        ("ExecuTorch with XNNPACK", by_executorch(layer, maps, [XnnpackPartitioner()]), by_sides),
        ("LiteRT", litert_torch.convert(layer, (maps,))(maps), by_sides),
    ):
        print(f"last row of 7, {options}, by {name}: {last_row(found)}", flush=True)
        if last_row(found) != stated:
            print(f"changed: it was {stated}", flush=True)
            raise SystemExit(1)
print("as described: XNNPACK and LiteRT go by the sides alone, ExecuTorch without XNNPACK by the factor")
PYTHON
