"""Networks rewritten for runtimes: the same outputs in float64, and none of the copies that the rewriting is for."""

from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn import functional

import PlainNet
from benchmarks import fused_graph
from gsnet import runtimes
from gsnet.commands import export
from gsnet.interface.options import InputError
from gsnet.latency.visited import random_networks
from gsnet.models import exporting
from gsnet.runtimes import Runtime, registry
from gsnet.runtimes.comparison import checked_session
from gsnet.runtimes.eager import Torch
from gsnet.runtimes.fusing import fused
from Masternet import MasterNet
from PlainNet import Style
from PlainNet.modules import shuffle_halves
from SearchSpace import load_search_space

SIZE = (16, 16)
STARTS = {
    "ghostshuffle": "SuperConvK3BNRELU(3,16,1,1)SuperGhostShuffleK3(16,32,1,16,2)SuperGhostShuffleK3(32,64,2,16,1)"
    "SuperConvK1BNRELU(64,32,1,1)",
    "XXBL": "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)",
    "IDW_fixfc": "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE4K3(8,16,2,8,1)SuperConvK1BNRELU(16,2048,1,1)",
}
# Blocks that a search does not put beside each other: odd widths, sums of shuffled maps, gates, branches, groups, norms alone.
STRUCTURES = (
    "ConvKX(3,8,3,1)GhostConv(8,9,3,1)BN(9)HS(9)ConvKX(9,8,1,1)MultiSumBlock(ConvKX(8,8,3,1);GhostConv(8,8,1,1)BN(8);RELU(8))"
    "MultiCatBlock(ConvKX(8,8,3,1);GhostConv(8,7,1,1))BN(15)Swish(15)ConvKX(15,8,3,2)",
    "SuperConvK3BNRELU(3,24,1,1)SuperGhostShuffleK3(24,24,1,12,2)ResBlock(SuperGhostShuffleK5(24,24,1,8,1))BN(24)SE(24)"
    "ConvKXG4(24,24,3,1)MaxPool(24,3,2)SuperGhostShuffleK3(24,32,1,16,1)SuperResK3K3(32,32,1,16,1)",
    "SuperConvK3BNRELU(3,96,2,1)SuperGhostShuffleK7(96,192,1,64,2)SuperGhostShuffleK3(192,200,2,52,2)SuperResIDWE2K3(200,96,1,96,1)",
)
STYLES = (
    Style(),
    Style(use_se=True, se_activation="relu"),
    PlainNet.DEPLOYED,
    Style(no_BN=True, no_reslink=True),
)


def trained_like(structure, style=Style()):  # noqa: B008
    """A network in float64 whose normalisations have statistics, weights and biases of no special kind."""
    torch.manual_seed(0)
    network = MasterNet(num_classes=5, plainnet_struct=structure, style=style)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.normal_()
            module.bias.data.normal_(0, 0.5)
    return network.double().eval()


@torch.no_grad()
def difference(network, other, size=SIZE):
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = network(images)
    return float((other(images) - expected).abs().max() / expected.abs().max())


def names(network):
    """How often each function, or class of a module, is called."""
    called = [node for node in network.graph.nodes if node.op.startswith("call")]
    return Counter(
        type(network.get_submodule(node.target)).__name__ if node.op == "call_module" else node.target.__name__
        for node in called
        if node.op != "call_method"
    )


@pytest.mark.parametrize("space", STARTS)
def test_random_networks_of_a_space_compute_the_same(space):
    known = load_search_space(f"SearchSpace/search_space_{space}.py")
    start = PlainNet.parse(STARTS[space])
    found = random_networks(known, start, 4, 7, lambda one: one.layers <= 20 and one.cost(16, 5).parameters < 4e5)
    for number, structure in enumerate(found):
        network = trained_like(structure, STYLES[number])
        rewritten = fused(network, SIZE, 16)
        if space == "ghostshuffle":
            assert difference(network, rewritten) < 1e-10, (structure, STYLES[number])
        else:
            # Nothing is concatenated, split or shuffled in these.
            assert rewritten is network


@pytest.mark.parametrize("structure", STRUCTURES)
def test_blocks_of_all_kinds_compute_the_same(structure):
    for style, multiple, as_convolutions in zip(STYLES, (1, 16, 8, 16), (True, False, True, False), strict=True):
        network = trained_like(structure, style)
        rewritten = fused(network, SIZE, multiple, norms_as_convolutions=as_convolutions)
        assert rewritten is not network and difference(network, rewritten) < 1e-10, (style, multiple)


def test_what_is_left_of_a_ghostshuffle_unit():
    """Worked out by hand: 96 channels in halves, each half's GhostConv with 48 dense and 48 depth-wise channels.

    The first unit's halves are read shuffled: even channels by one branch of the second, odd ones by the other. So both its
    closing GhostConvs become two, of 24 dense and 24 depth-wise channels each. Normalisation stays for dense halves alone.
    """
    text = "SuperConvK3BNRELU(3,192,1,1)SuperGhostShuffleK3(192,192,1,96,2)SuperConvK1BNRELU(192,16,1,1)"
    network = trained_like(text)
    rewritten = fused(network, SIZE, 1)
    convolutions = [module for module in rewritten.modules() if isinstance(module, nn.Conv2d)]
    # The stem in halves; 4 + 4 + 3 of the first unit, 7 of the second; the head.
    assert len(convolutions) == 2 + 11 + 7 + 1
    norms = sorted(m.num_features for m in rewritten.modules() if isinstance(m, nn.BatchNorm2d))
    assert norms == [24] * 4 + [48] * 4
    # What each body's depth-wise convolution reads, both halves that the second unit reads, and what the head reads.
    assert names(rewritten)["cat"] == 2 + 2 + 1
    assert not {"chunk", "getitem", "index_select", "shuffle_halves", "transpose"} & set(names(rewritten))
    assert {type(module) for module in fused(network, SIZE, 1, norms_as_convolutions=True).modules()}.isdisjoint(
        {nn.BatchNorm2d}
    )
    # All widths but the image's and the classifier's, whose outputs somebody reads as they are.
    assert all(m.out_channels % 16 == 0 for m in fused(network, SIZE, 16).modules() if isinstance(m, nn.Conv2d))


def test_narrow_halves_are_read_with_zeros_rather_than_cut_out():
    """Halves of 16 channels, too narrow to be made by convolutions of their own: whoever needs one reads both."""
    network = trained_like("SuperConvK3BNRELU(3,32,1,1)SuperGhostShuffleK3(32,32,1,16,3)SuperConvK1BNRELU(32,16,1,1)")
    rewritten = fused(network, SIZE, 16)
    assert difference(network, rewritten) < 1e-10
    assert not {"chunk", "getitem", "index_select", "shuffle_halves"} & set(names(rewritten))
    # The stem stays one convolution, and the first branch reads all 32 channels of it, half of them by zeros.
    first = next(m for m in rewritten.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 32)
    assert int((first.weight != 0).any(dim=(0, 2, 3)).sum()) == 16


def test_normalisation_of_a_narrow_dense_half_is_done_by_the_depth_wise_half():
    """Worked out by hand: all three GhostConvs have 8 and 8 channels, which one map of 16 holds."""
    network = trained_like("SuperConvK3BNRELU(3,32,1,1)SuperGhostShuffleK3(32,32,1,16,1)SuperConvK1BNRELU(32,16,1,1)")
    rewritten = fused(network, SIZE, 16)
    assert difference(network, rewritten) < 1e-10
    convolutions = [module for module in rewritten.modules() if isinstance(module, nn.Conv2d)]
    # The stem; a dense and a depth-wise one of each GhostConv, and the body's own; of each branch's map a half of the head.
    assert len(convolutions) == 1 + 2 * 3 + 1 + 2
    assert sum(module.groups == module.out_channels == 16 for module in convolutions) == 4
    assert not any(isinstance(module, nn.BatchNorm2d) for module in rewritten.modules())
    assert "cat" not in names(rewritten) and names(rewritten)["add"] == 1


def test_wide_maps_are_not_copied_together():
    """512 channels of 16 x 16 pixels: each half has a depth-wise convolution, and a dense one that adds the other's output."""
    network = trained_like("SuperConvK3BNRELU(3,32,1,1)SuperGhostShuffleK5(32,32,1,512,1)SuperConvK1BNRELU(32,16,1,1)")
    rewritten = fused(network, SIZE, 16)
    assert difference(network, rewritten) < 1e-10
    convolutions = [module for module in rewritten.modules() if isinstance(module, nn.Conv2d)]
    assert sum(module.kernel_size == (5, 5) and module.groups == 256 for module in convolutions) == 2
    assert sum(module.groups == 1 and module.in_channels == 256 for module in convolutions) == 2
    # Too wide to be computed twice.
    assert [m.num_features for m in rewritten.modules() if isinstance(m, nn.BatchNorm2d)] == [256]
    assert "cat" not in names(rewritten) and names(rewritten)["add"] == 2


class Ghostly(nn.Module):
    """A dense half that a third convolution reads too, and a depth-wise half; normalised side by side."""

    def __init__(self, **options):
        super().__init__()
        self.dense, self.thin = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, groups=6, **options)
        self.norm, self.head, self.other = nn.BatchNorm2d(12), nn.Conv2d(12, 5, 1), nn.Conv2d(6, 5, 3, padding=1)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)

    def forward(self, x):
        dense = self.dense(x)
        both = torch.cat((dense, self.thin(dense)), dim=1)
        return self.head(functional.relu(self.norm(both))) + self.other(dense)


@pytest.mark.parametrize(
    ("options", "norms"),
    [
        ({"kernel_size": 3, "padding": 1}, 0),
        ({"kernel_size": (1, 5), "padding": (0, 4), "dilation": 2}, 0),
        # Windows whose middle lies elsewhere, or of which that is not known.
        ({"kernel_size": 3, "padding": "same"}, 1),
        ({"kernel_size": (2, 3), "padding": "same"}, 1),
    ],
)
def test_a_window_takes_what_lies_in_its_middle(options, norms):
    torch.manual_seed(0)
    network = Ghostly(**options).double().eval()
    rewritten = fused(network, SIZE, 16)
    assert rewritten is not network and difference(network, rewritten) < 1e-10
    assert sum(isinstance(module, nn.BatchNorm2d) for module in rewritten.modules()) == norms


class Wide(nn.Module):
    """A GhostConv, normalised, whose halves are read together, or each by a convolution of its own, or the dense one again."""

    def __init__(self, way):
        super().__init__()
        self.way, self.dense = way, nn.Conv2d(3, 32, 1)
        self.thin, self.norm = nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.BatchNorm2d(64)
        self.left, self.right = nn.Conv2d(32, 32, 1), nn.Conv2d(32, 32, 1)

    def forward(self, x):
        dense = self.dense(x)
        both = torch.relu(self.norm(torch.cat((dense, self.thin(dense)), dim=1)))
        if self.way == "shuffled":
            both = shuffle_halves(both)
        first, second = both.chunk(2, dim=1)
        found = self.left(first) + self.right(second)
        return found + self.right(dense) if self.way == "read again" else found


@pytest.mark.parametrize(("way", "norms", "dense"), [("shuffled", 0, 4), ("halves", 1, 3), ("read again", 1, 4)])
def test_a_wide_dense_half_is_given_again_to_those_alone_that_read_it_with_the_copy(way, norms, dense):
    """Worked out by hand. 32 channels of 8 x 8 pixels are small, and wide enough to be split by readers.

    Shuffled: two dense layers of 16 channels and their copies, and two readers. Else one and its readers, for a copy that
    others read would be a layer more, and its normalisation a window of 3 x 3 in place of 1 x 1.
    """
    torch.manual_seed(0)
    network = Wide(way).double().eval()
    rewritten = fused(network, (8, 8), 16)
    assert rewritten is not network and difference(network, rewritten, (8, 8)) < 1e-10
    modules = list(rewritten.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in modules) == norms
    assert sum(isinstance(module, nn.Conv2d) and module.groups == 1 for module in modules) == dense


class Grouped(nn.Module):
    """A depth-wise convolution of two wide maps, read by one in groups, or by one without."""

    def __init__(self, groups):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 64, 1), nn.Conv2d(3, 64, 3, padding=1)
        self.thin, self.head = nn.Conv2d(128, 128, 3, groups=128), nn.Conv2d(128, 64, 1, groups=groups)
        self.last = nn.Conv2d(64, 5, 1)

    def forward(self, x):
        return self.last(self.head(self.thin(torch.cat((self.left(x), self.right(x)), dim=1))))


@pytest.mark.parametrize(("groups", "thin", "copies"), [(1, 2, 0), (2, 1, 1)])
def test_a_depth_wise_convolution_becomes_two_for_dense_ones_alone(groups, thin, copies):
    """Before one in groups both halves would be copied together just as before the depth-wise one."""
    torch.manual_seed(0)
    network = Grouped(groups).double().eval()
    rewritten = fused(network, (32, 32), 16)
    assert rewritten is not network and difference(network, rewritten, (32, 32)) < 1e-10
    assert sum(isinstance(module, nn.Conv2d) and module.groups > 2 for module in rewritten.modules()) == thin
    assert names(rewritten)["cat"] == copies


class Awkward(nn.Module):
    """Maps that are read twice, changed in place, and by functions of which nothing is known."""

    def __init__(self):
        super().__init__()
        self.stem, self.other = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(3, 12, 1)
        self.act, self.head = nn.ReLU(inplace=True), nn.Conv2d(24, 5, 1)
        self.dense, self.norm = nn.Conv2d(24, 24, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(12)

    def forward(self, x):
        left, right = self.stem(x).chunk(2, dim=1)
        swapped = torch.cat((right, left), 1)
        both = torch.cat((swapped, swapped), dim=1)
        gate = torch.sigmoid(self.other(x).mean((2, 3), keepdim=True))
        rotated = torch.roll(swapped, 1, dims=1) * gate
        rotated += self.norm(swapped)
        y = self.dense(both) + torch.cat((rotated, self.act(self.other(x))), 1)
        return self.head(y)[:, :, ::2].amax((2, 3))


class Dense(nn.Module):
    """Layers that read all maps before them (Huang et al. 2017, figure 1): four, normalised before each."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3)
        self.norms = nn.ModuleList(nn.BatchNorm2d(32 * count) for count in range(1, 5))
        self.layers = nn.ModuleList(nn.Conv2d(32 * count, 32, 3, padding=1) for count in range(1, 5))

    def forward(self, x):
        maps = [self.stem(x)]
        for norm, layer in zip(self.norms, self.layers, strict=True):
            maps.append(layer(torch.relu(norm(torch.cat(maps, 1)))))
        return maps[-1].mean((2, 3))


def test_other_programs_modules_compute_the_same():
    torch.manual_seed(0)
    for made in (Awkward(), Dense()):
        network = made.double().eval()
        rewritten = fused(network, SIZE, 16)
        assert rewritten is not network and difference(network, rewritten) < 1e-10
    # Of one, two and three maps: a normalisation on each of two, and one on three and on four together.
    assert names(rewritten)["BatchNorm2d"] == 1 + 2 + 1 + 1


class Cut(nn.Module):
    """Layers of which somebody reads some channels alone, one kind each."""

    def __init__(self, kind):
        super().__init__()
        self.stem, self.other, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3), nn.Conv2d(4, 5, 1)
        self.norm, self.depthwise = nn.BatchNorm2d(8, eps=0.5), nn.Conv2d(8, 8, 3, groups=8)
        self.kind = kind

    def forward(self, x):
        y, other = torch.relu(self.stem(x)), self.other(x)
        layers = {
            "pointwise": lambda: torch.tanh(y),
            "norm": lambda: self.norm(y),
            "depth-wise": lambda: self.depthwise(y),
            "pooling": lambda: functional.max_pool2d(y, 2),
            "sum": lambda: y + other,
            "gate": lambda: y * torch.sigmoid(other.mean((2, 3), keepdim=True)),
        }
        return self.head(layers[self.kind]()[:, 2:6]).mean((2, 3))


@pytest.mark.parametrize("kind", ["pointwise", "norm", "depth-wise", "pooling", "sum", "gate"])
def test_channels_that_nobody_reads_are_not_computed(kind):
    torch.manual_seed(0)
    network = Cut(kind).double().eval()
    for multiple in (1, 16):
        rewritten = fused(network, SIZE, multiple)
        assert rewritten is not network and difference(network, rewritten) < 1e-10
    assert fused(network, SIZE, 1).get_submodule("layer1").out_channels == 4


def last_first(parts):
    """Three maps side by side; unpacked as a trace can follow it."""
    first, second, third = parts
    return torch.cat((third, second, first), 1)


class OneWay(nn.Module):
    """A network whose only difficulty has a name."""

    def __init__(self, way):
        super().__init__()
        self.way, self.stem, self.act = way, nn.Conv2d(3, 9, 3), nn.ReLU(inplace=True)
        self.nine, self.both, self.one = nn.Conv2d(9, 9, 3, padding=1), nn.Conv2d(18, 5, 1), nn.Conv2d(9, 1, 1)
        self.single, self.spread, self.dilated = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 5, 1), nn.Conv2d(9, 9, 3, dilation=2)

    def forward(self, x):
        y = self.stem(x)
        left, right = y.chunk(2, dim=1)
        turned = torch.cat((right, left), 1)
        ways = {
            # Five channels, then four.
            "odd halves": lambda: self.nine(turned),
            # Four, four and one.
            "parts of a width": lambda: self.nine(last_first(y.split(4, 1))),
            "parts by a function": lambda: self.nine(last_first(torch.split(y, 4, dim=1))),
            "dilated": lambda: self.dilated(turned),
            "read twice": lambda: self.both(torch.cat((turned, y), 1)),
            "one channel": lambda: self.spread(self.single(turned[:, :1])),
            "changed in place": lambda: self.both(torch.cat((self.act(turned), y), 1)),
            "changed in place by a function": lambda: self.both(
                torch.cat((functional.relu(turned, inplace=True), y), 1)
            ),
            "images side by side": lambda: torch.cat((self.nine(turned), y)),
            "sum over images": lambda: torch.stack((self.nine(turned), y)).sum(1),
            "gate of one channel": lambda: turned * torch.sigmoid(self.one(y)),
            "all in one row": lambda: torch.flatten(functional.adaptive_avg_pool2d(turned, 1))[:, None, None, None],
        }
        return ways[self.way]().mean((2, 3))


WAYS = [
    *("odd halves", "parts of a width", "parts by a function", "dilated", "read twice", "one channel"),
    *("changed in place", "changed in place by a function", "images side by side", "sum over images"),
    *("gate of one channel", "all in one row"),
]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_rewritten_is_so_whatever_else_a_network_has(way):
    """What would be read wrongly would be noticed, and the network be written as it is: right, and no faster."""
    torch.manual_seed(0)
    network = OneWay(way).double().eval()
    for multiple in (1, 16):
        rewritten = fused(network, SIZE, multiple)
        assert rewritten is not network and difference(network, rewritten) < 1e-10
        assert "chunk" not in names(rewritten)


class Sliced(nn.Module):
    """A map that one convolution reads as a whole, another one in part."""

    def __init__(self, width, used):
        super().__init__()
        self.used, self.stem = used, nn.Conv2d(3, width, 3)
        self.whole, self.part = nn.Conv2d(width, 5, 1), nn.Conv2d(used, 5, 1)

    def forward(self, x):
        y = self.stem(x)
        return (self.whole(y) + self.part(y[:, : self.used])).mean((2, 3))


@pytest.mark.parametrize(("width", "used", "cut"), [(64, 4, False), (65, 4, True), (80, 20, False), (81, 20, True)])
def test_a_part_is_cut_out_of_what_is_wide_and_more_than_four_times_as_wide_alone(width, used, cut):
    torch.manual_seed(0)
    network = Sliced(width, used).double().eval()
    rewritten = fused(network, SIZE, 1)
    assert rewritten is not network and difference(network, rewritten) < 1e-10
    assert ("getitem" in names(rewritten)) is cut


class CutTwice(nn.Module):
    """The same part of a map beside two others, for functions of which nothing is known."""

    def __init__(self):
        super().__init__()
        self.stem, self.whole = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        y = self.stem(x)
        other = self.whole(y)
        first, second = (torch.cat((y[:, :4], one), 1) for one in (other, torch.tanh(other)))
        return (torch.roll(first, 1, dims=1) * torch.flip(second, (1,))).mean((2, 3))


def test_a_part_is_cut_out_once():
    torch.manual_seed(0)
    network = CutTwice().double().eval()
    rewritten = fused(network, SIZE, 1)
    assert rewritten is not network and difference(network, rewritten) < 1e-10
    assert names(rewritten)["getitem"] == 1


class Unread(nn.Module):
    """A convolution of which nothing becomes reads all channels, what becomes the output half of them."""

    def __init__(self):
        super().__init__()
        self.stem, self.head, self.nothing = nn.Conv2d(3, 8, 3), nn.Conv2d(4, 5, 1), nn.Conv2d(8, 5, 1)

    def forward(self, x):
        y = self.stem(x)
        self.nothing(y)
        return self.head(y[:, 2:6]).mean((2, 3))


def test_what_is_read_in_vain_is_not_computed():
    torch.manual_seed(0)
    network = Unread().double().eval()
    rewritten = fused(network, SIZE, 1)
    assert difference(network, rewritten) < 1e-10
    assert [m.out_channels for m in rewritten.modules() if isinstance(m, nn.Conv2d)] == [4, 5]


class Summed(nn.Module):
    """A sum of a convolution's outputs and of a map with its halves exchanged, which others read in another order still."""

    def __init__(self):
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 5, 1)

    def forward(self, x):
        y = self.stem(x)
        left, right = y.chunk(2, dim=1)
        return self.head(self.body(y) + torch.cat((right, left), 1)).mean((2, 3))


def test_a_convolution_has_the_order_of_what_it_is_added_to():
    torch.manual_seed(0)
    network = Summed().double().eval()
    rewritten = fused(network, SIZE, 1)
    assert difference(network, rewritten) < 1e-10
    assert names(rewritten) == {"Conv2d": 3, "add": 1}


class Rolled(nn.Module):
    """Two functions of which nothing is known read the same map in an order in which it does not lie."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        left, right = self.stem(x).chunk(2, dim=1)
        turned = torch.cat((right, left), 1)
        return (torch.roll(turned, 1, dims=1) * torch.flip(turned, (1,))).mean((2, 3))


def test_a_map_is_brought_into_an_order_once_for_all_that_read_it_so():
    torch.manual_seed(0)
    network = Rolled().double().eval()
    rewritten = fused(network, SIZE, 1)
    assert rewritten is not network and difference(network, rewritten) < 1e-10
    assert names(rewritten)["index_select"] <= 1


class ReadAgain(nn.Module):
    """A map that is changed in place, and read again as what it has become."""

    def __init__(self, act):
        super().__init__()
        self.stem, self.act, self.head = nn.Conv2d(3, 8, 3), act, nn.Conv2d(8, 5, 1)

    def forward(self, x):
        y = self.stem(x)
        active = self.act(y)
        return self.head(torch.cat((y[:, :4], active[:, 4:]), dim=1)).mean((2, 3))


# The second one changes what is below 0 by a hundredth of it.
@pytest.mark.parametrize("act", [nn.ReLU(inplace=True), nn.LeakyReLU(0.99, inplace=True)])
def test_what_would_compute_something_else_stays_as_it_is(act):
    torch.manual_seed(0)
    network = ReadAgain(act).eval()
    assert fused(network, SIZE, 1) is network


class Undecided(nn.Module):
    """What it computes depends on numbers, which a trace does not see."""

    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


def test_what_cannot_be_traced_stays_as_it_is():
    network = Undecided()
    assert fused(network, SIZE, 16) is network


class Tracing(Torch):
    """A runtime whose files show which graph was written: TorchScript."""

    name = "tracing"
    multiple = 1

    def open(self, file, settings):
        session = super().open(file, settings)
        run, self.graph = session.run, str(torch.jit.load(file).inlined_graph)
        session.run = lambda images: run(images) * self.factor()
        return session

    def factor(self):
        return 1


class Confused(Tracing):
    """One that computes something else where nothing is split."""

    name = "confused"

    def factor(self):
        return 1 if "chunk" in self.graph else 2


@pytest.mark.parametrize(
    ("program", "fuse", "split"), [(Tracing(), True, False), (Tracing(), False, True), (Confused(), True, True)]
)
def test_exports_are_rewritten_unless_told_otherwise_or_outputs_differ(program, fuse, split, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {program.name: program})
    monkeypatch.setitem(exporting.FORMATS, "torchscript", program.name)
    network = trained_like(STARTS["ghostshuffle"])
    assert exporting.export(network, tmp_path / "net.pt", "torchscript", SIZE, fuse=fuse) < 1e-4
    assert ("chunk" in program.graph) is split
    assert ("chunk" in str(torch.jit.load(tmp_path / "net.pt").inlined_graph)) is split


class Filed(Tracing):
    """One whose sessions are made by way of files, as those of other programs than torch."""

    name = "filed"
    compared = True
    make, make_to_time = Runtime.make, Runtime.make_to_time


def test_what_is_timed_is_what_is_exported(monkeypatch):
    program, network = Filed(), trained_like(STARTS["ghostshuffle"]).float()
    monkeypatch.setattr(registry, "_registered", {program.name: program})
    _, off = checked_session(program.name, network, SIZE, runtimes.Settings())
    assert off < 1e-4 and "chunk" not in program.graph
    program.make_to_time(network, SIZE, 1, runtimes.Settings())
    assert "chunk" not in program.graph


def test_what_fails_either_way_is_told(tmp_path, monkeypatch):
    program = Confused()
    monkeypatch.setattr(program, "factor", lambda: 2)
    monkeypatch.setattr(registry, "_registered", {program.name: program})
    monkeypatch.setitem(exporting.FORMATS, "torchscript", program.name)
    with pytest.raises(InputError, match="computes other outputs"):
        exporting.export(trained_like(STARTS["ghostshuffle"]), tmp_path / "net.pt", "torchscript", SIZE)
    assert not list(tmp_path.iterdir())


def test_which_runtimes_networks_are_rewritten_for():
    """Those that it was measured to make faster (docs/runtimes.md)."""
    rewriting = [name for name in runtimes.runtime_names() if runtimes.runtime(name).multiple is not None]
    assert sorted(rewriting) == ["onnxruntime", "opencv", "openvino"]


@pytest.mark.parametrize("form", [*exporting.FORMATS, exporting.SAFETENSORS])
def test_what_is_not_rewritten_has_no_option_to_leave_it(form):
    """Of all formats, those of the runtimes above have one."""
    command = ["--arch", "a", "--format", form, "--no_fuse"]
    if form in ("onnx", "opencv", "openvino"):
        assert export.parse_options(command).no_fuse
        return
    with pytest.raises(InputError, match=f"with --format {form}, whose graphs are not rewritten"):
        export.parse_options(command)


@pytest.mark.parametrize(("kind", "multiple"), [("onnx", 16), ("opencv", 8)])
def test_a_runtime_is_timed_by_the_graph_of_the_file_that_is_exported_for_it(kind, multiple, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    program = runtimes.runtime(exporting.FORMATS[kind])
    if missing := program.missing(writing=True):
        pytest.skip(f"{', '.join(missing)} not installed (requirements-runtimes.txt)")
    network = trained_like("SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,72,2,56,1)").float()
    exporting.export(network, tmp_path / "exported.onnx", kind, SIZE)

    def widths(file):
        weights = {one.name: one.dims for one in onnx.load(file).graph.initializer}
        return sorted(weights[node.input[1]][0] for node in onnx.load(file).graph.node if node.op_type == "Conv")

    timed, load = [], type(program).load
    monkeypatch.setattr(type(program), "load", lambda *given: timed.append(widths(given[1])) or load(*given))
    checked_session(program.name, network, SIZE, runtimes.Settings())
    program.make_to_time(network, SIZE, 1, runtimes.Settings())
    exported = widths(tmp_path / "exported.onnx")
    assert timed == [exported] * 2
    assert not any(width % multiple for width in exported) and any(width % (2 * multiple) for width in exported)


def test_a_page_keeps_the_figures_that_are_not_measured_anew():
    """Those of other runtimes and rows; a row's figures are all of as many networks."""
    page = f"""text
<!-- {fused_graph.SECTION} -->
| space | pixels | networks | ONNX Runtime | OpenVINO |
|---|---|---|---|---|
| XXBL | 32 | 2 | 1.01 (1.00 to 1.02) | 1.04 (1.02 to 1.06) |
| XXBL | 224 | 2 | 1.00 (1.00 to 1.00) | 1.03 (1.03 to 1.04) |
<!-- end of {fused_graph.SECTION} -->
| other | table |
"""
    row = fused_graph.Row("XXBL", 224)
    for ratio in (1.5, 1.0):
        row.add("OpenCV", ratio)
    lines = fused_graph.table([row, fused_graph.Row("IDW_fixfc", 32)], page).splitlines()
    assert lines[0] == "| space | pixels | networks | ONNX Runtime | weights in its file | OpenVINO | OpenCV |"
    assert lines[2:] == [
        "| XXBL | 32 | 2 | 1.01 (1.00 to 1.02) | - | 1.04 (1.02 to 1.06) | - |",
        "| XXBL | 224 | 2 | 1.00 (1.00 to 1.00) | - | 1.03 (1.03 to 1.04) | 1.25 (1.00 to 1.50) |",
        "| IDW_fixfc | 32 | 0 | - | - | - | - |",
    ]
    row.add("OpenCV", 1.0)
    with pytest.raises(
        InputError, match="ONNX Runtime of 2 networks on the page, and 3 were measured: give --networks 2"
    ):
        fused_graph.table([row], page)
