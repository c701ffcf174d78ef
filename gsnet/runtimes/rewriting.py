"""For which runtimes networks are rewritten, and in which way: known without torch, which `gsnet.runtimes.fusing` needs."""

from __future__ import annotations

from types import MappingProxyType

# Of which the widths of a rewritten network are, by the name of the runtime.
MULTIPLES = MappingProxyType({"onnxruntime": 16, "openvino": 8, "opencv": 8})
# The way of now: one more whenever an export's graph becomes another, or is made for one more runtime. Latency tables and
# bundles say in which way their networks were rewritten, since others take another time.
WAY = 2
# What older tables and bundles say of every way before; and networks as torch has them.
SOME_WAY, AS_IT_IS = 1, 0
