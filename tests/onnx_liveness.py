"""What an ONNX graph needs in memory, by its own nodes and onnx's shape inference alone: an oracle for `PlainNet.memory`.

    python -m tests.onnx_liveness

exports 44 networks as `gsnet export` does, and writes tests/golden/onnx_liveness.csv. Nothing of what is counted comes from
the project: maps are the tensors of floating point that depend on the image, weights the initialisers of floating point that
nodes read.
"""

import csv
import random
import tempfile
from math import prod
from pathlib import Path

import onnx

GOLDEN = Path(__file__).parent / "golden/onnx_liveness.csv"
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
STYLES = {
    "plain": {},
    "se": {"use_se": True},
    "no_BN": {"no_BN": True},
    "no_BN_se": {"no_BN": True, "use_se": True},
    "no_reslink": {"no_reslink": True},
    "deployed": {"use_se": True, "projection_activation": "hard_swish", "shuffle_always": True, "bn_eps": 1e-5},
}
# What the search spaces do not have: single layers, odd widths, branches, a map that is read twice before it is normalised.
BY_HAND = (
    "ConvKX(3,8,3,1)BN(8)RELU(8)BN(8)ConvKX(8,12,5,2)",
    "ConvKX(3,8,3,1)BN(8)Swish(8)HS(8)ResBlock(ConvKXG4(8,8,3,1)RELU(8))ConvKX(8,4,1,1)",
    "ConvKX(3,8,3,1)MultiSumBlock(ConvDW(8,3,1);ConvKX(8,8,1,1);Sequential(ConvKX(8,8,3,1)BN(8)))RELU(8)",
    "ConvKX(3,8,3,1)MultiCatBlock(RELU(8);ConvKX(8,4,1,1);BN(8))ConvKX(20,8,1,2)BN(8)",
    "ConvKX(3,8,3,1)BN(8)MaxPool(8,3,2)GhostConv(8,7,1,1)SE(7)AdaptiveAvgPool(7,4)ConvKX(7,9,1,1)",
    "ConvKX(3,6,3,2)GhostConv(6,6,3,1)BN(6)Swish(6)ResBlockProj(ConvDW(6,5,1)BN(6))ConvKX(6,1,1,1)BN(1)",
    "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,18,1,10,5)SuperGhostShuffleK7(18,22,2,6,4)SuperConvK1BNRELU(22,8,1,1)",
    "SuperConvK5BNRELU(3,8,2,3)SuperResK3K3(8,16,1,64,6)SuperConvK1BNRELU(16,8,1,1)",
    "SuperConvK3BNRELU(3,8,1,1)SuperResK1K5K1(8,8,1,24,4)SuperResIDWE4K5(8,8,2,8,5)SuperConvK1BNRELU(8,96,1,1)",
    "SuperConvK3BNRELU(3,8,2,4)ConvKX(8,8,3,1)ResBlock(BN(8)RELU(8)ConvKX(8,8,3,1))BN(8)SuperConvK1BNRELU(8,200,1,1)",
    # Branches that are equal or begin alike, and pooling that does not divide the map, nor the map it.
    "ConvKX(3,8,3,1)MultiSumBlock(RELU(8);RELU(8);SE(8);SE(8))AdaptiveAvgPool(8,5)ConvKX(8,4,1,1)",
    "ConvKX(3,8,3,2)AdaptiveAvgPool(8,7)"
    "MultiCatBlock(Sequential(HS(8)AdaptiveAvgPool(8,4));Sequential(HS(8)AdaptiveAvgPool(8,4)))",
    "ConvKX(3,8,3,1)MultiSumBlock(SuperGhostShuffleK3(8,8,1,8,1);SuperGhostShuffleK3(8,8,1,8,1);RELU(8))RELU(8)RELU(8)"
    "AdaptiveAvgPool(8,6)GhostConv(8,7,1,1)",
    "ConvKX(3,8,3,2)ResBlock(HS(8))MultiCatBlock(MaxPool(8,3,2);MaxPool(8,3,2);Sequential(HS(8)MaxPool(8,3,2)))"
    "AdaptiveAvgPool(24,13)",
)


def analysis(model):
    """Elements of maps that live at once, of weights, and of vectors, for one image.

    A map lives from the node that makes it, the image from the start, to the last node that reads it, or to the end where it is
    an output. While a node runs, its inputs and its outputs live, each for itself. Weights have two axes or more.
    """
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    tensors = [*graph.input, *graph.value_info, *graph.output]
    sizes = {
        tensor.name: prod(axis.dim_value or 1 for axis in tensor.type.tensor_type.shape.dim)
        for tensor in tensors
        if tensor.type.tensor_type.elem_type in FLOATS
    }
    outputs = {output.name for output in graph.output}
    kernels = {one.name: one for one in graph.initializer if one.data_type in FLOATS}
    read = {name for node in graph.node for name in node.input}
    maps = sizes.keys() - kernels.keys()
    assert all(name in maps for node in graph.node for name in node.output), "onnx knows no size of a map"
    peak = 0
    for place, node in enumerate(graph.node):
        made = {graph.input[0].name, *(name for earlier in graph.node[: place + 1] for name in earlier.output)}
        still_read = {name for later in graph.node[place:] for name in later.input}
        alive = {name for name in made & maps if name in still_read or name in outputs or name in node.output}
        peak = max(peak, sum(sizes[name] for name in alive))
    used = [prod(one.dims) for name, one in kernels.items() if name in read and len(one.dims) > 1]
    vectors = [prod(one.dims) for name, one in kernels.items() if name in read and len(one.dims) == 1]
    return peak, sum(used), sum(vectors)


def exported(structure, resolution, style, file):
    """The graph that `gsnet export --format onnx` writes of a structure with ten classes."""
    from torch import nn

    from gsnet.runtimes.onnx_file import write_onnx
    from Masternet import MasterNet
    from PlainNet import Style

    network = MasterNet(num_classes=10, plainnet_struct=structure, style=Style(**STYLES[style])).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            # The exporter leaves a bias out that is 0, and keeps equal vectors once, as those of fresh statistics are.
            for vector in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(vector, 0.5, 2)
    write_onnx(network, file, (resolution, resolution))
    return onnx.load(file)


def networks():
    """(structure, resolution, style) of 44 networks: those by hand, and random ones of the three spaces."""
    from PlainNet import registered_blocks
    from SearchSpace.search_choice import random_network, sample_block

    names = ("SuperGhostShuffle", "SuperRes", "SuperResIDWE")
    known = registered_blocks()
    kinds = [[block for name, block in known.items() if name.startswith(start)] for start in names]
    generator = random.Random(21)
    yield from ((structure, 33 if place % 2 else 16, "plain") for place, structure in enumerate(BY_HAND))
    for place in range(30):
        # A few blocks show as much as ten do, and are exported in seconds.
        blocks = list(random_network(kinds[place % 3], generator).blocks[: 3 + place % 3])
        blocks[-1] = sample_block(blocks[-1], kinds[place % 3], generator)
        yield "".join(map(str, blocks)), (32, 64, 48)[place % 7 % 3], list(STYLES)[place % len(STYLES)]


if __name__ == "__main__":
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for structure, resolution, style in networks():
            graph = exported(structure, resolution, style, Path(folder) / "network.onnx")
            rows.append((structure, resolution, style, *analysis(graph)))
            print(*rows[-1], flush=True)
    with GOLDEN.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("structure", "resolution", "style", "peak", "weights", "vectors"))
        table.writerows(rows)
