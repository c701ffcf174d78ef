"""Syncflow: the synaptic flow through a network without batch normalisation and without signs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from Masternet import MasterNet
from PlainNet.modules import Chain
from ZeroShotProxy.registry import Needs, ProxyFailure, proxy
from ZeroShotProxy.scoring import ScoringContext

NORMALISATIONS = frozenset(
    {functional.batch_norm, functional.group_norm, functional.instance_norm, functional.layer_norm}
)
RESCALE_ABOVE_EXPONENT = 400
RESCALE_TO_EXPONENT = 100


@proxy("Syncflow", needs=Needs.GRADIENT)
def syncflow_score(network: nn.Module, context: ScoringContext) -> float:
    """Sum of w dR/dw over convolution and linear weights (Tanaka et al. 2020, SynFlow, equations 1 and 2). Larger is better.

    R is the sum of the logits for one image of ones in float64, with every weight replaced by its absolute value and
    normalisation left out. The predecessor kept BN in training mode (so that 1 x 1 maps and squeeze-and-excitation failed),
    averaged each layer over its rows and negated the result, so that its search minimised the flow: its figures are not
    comparable. The score grows exponentially with depth; ProxyFailure says so where it leaves float64, and Syncflow-log does
    not.
    """
    flow, exponent = synaptic_flow(network, context.settings.resolution, context.channels)
    try:
        return math.ldexp(flow, exponent)
    except OverflowError:
        raise ProxyFailure("the flow is too large for float64: use Syncflow-log") from None


@proxy("Syncflow-log", needs=Needs.GRADIENT)
def log_syncflow_score(network: nn.Module, context: ScoringContext) -> float:
    """Natural logarithm of Syncflow, for networks of any depth: the same order, without overflow. Larger is better.

    The map between two blocks of a chain (every MasterNet, every nn.Sequential) is scaled down by a power of two where it
    grows large, which changes no digit of the result. A module that is not such a chain is limited to the range of float64
    and raises ProxyFailure beyond it.
    """
    flow, exponent = synaptic_flow(network, context.settings.resolution, context.channels)
    if flow == 0:
        raise ProxyFailure("nothing flows from the image to the logits")
    return math.log(flow) + exponent * math.log(2)


def synaptic_flow(network: nn.Module, resolution: int, channels: int = 3) -> tuple[float, int]:
    """Syncflow as (m, e) with the value m * 2 ** e, for an image of ones, (1, channels, resolution, resolution).

    The network itself is not changed: absolute float64 copies of its tensors stand in for them. Raises ProxyFailure where a
    value leaves float64 or no weight reaches the logits.
    """
    tensors = {name: tensor.detach().abs().double() for name, tensor in network.named_parameters()}
    tensors |= {name: _as_double(tensor) for name, tensor in network.named_buffers()}
    weights = [tensors[name].requires_grad_() for name in flow_weights(network)]
    device = next(network.parameters(), torch.empty(0)).device
    image = torch.ones(1, channels, resolution, resolution, dtype=torch.float64, device=device)
    with _evaluation(network), _WithoutNormalisation(), _rescaled_chain(network) as exponents:
        logits = functional_call(network, tensors, (image,))
    if not logits.requires_grad:
        raise ProxyFailure("no convolution or linear weight reaches the logits")
    gradients = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
    flows = [(weight.detach() * g).sum() for weight, g in zip(weights, gradients, strict=True) if g is not None]
    flow = sum(torch.stack(flows).tolist())
    if not math.isfinite(flow):
        raise ProxyFailure("the flow is too large for float64")
    return float(flow), sum(exponents)


def flow_weights(network: nn.Module) -> list[str]:
    """Names of the weights that count: those of convolutions and linear layers."""
    layers = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, _ConvNd | nn.Linear)]
    names = {id(p): name for name, p in network.named_parameters()}
    wanted = dict.fromkeys(names[id(layer.weight)] for _, layer in layers if id(layer.weight) in names)
    return list(wanted)


def _as_double(tensor: Tensor) -> Tensor:
    return tensor.detach().double() if tensor.is_floating_point() else tensor.detach().clone()


class _WithoutNormalisation(TorchFunctionMode):
    """Inside this context normalisation layers hand on their input."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func in NORMALISATIONS:
            return args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def _evaluation(network: nn.Module) -> Iterator[None]:
    modes = [(layer, layer.training) for layer in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training


@contextmanager
def _rescaled_chain(network: nn.Module) -> Iterator[list[int]]:
    """Scale large maps between the blocks of a chain down; the exponents of the powers of two are listed.

    Nothing bypasses these maps, so R is proportional to them. They stay far above 1, where hard-swish is the identity and
    the gates of squeeze-and-excitation are 1, so that these do not notice.
    """
    exponents: list[int] = []

    def rescale(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        exponent = math.frexp(output.detach().abs().max().item())[1]
        if exponent < RESCALE_ABOVE_EXPONENT:
            return output
        exponents.append(exponent - RESCALE_TO_EXPONENT)
        return output * 2.0 ** -exponents[-1]

    handles = [link.register_forward_hook(rescale) for link in chain_links(network)]
    try:
        yield exponents
    finally:
        for handle in handles:
            handle.remove()


def chain_links(network: nn.Module) -> list[nn.Module]:
    """The modules that a network applies one after the other, divided as far as they are chains; none if it is no chain."""
    if isinstance(network, MasterNet):
        return [link for block in network.module_list for link in chain_links(block) or [block]]
    # Subclasses with a forward of their own have shortcuts around their links.
    children: Iterable[nn.Module]
    if isinstance(network, Chain) and type(network).forward is Chain.forward:
        children = network.module_list
    elif isinstance(network, nn.Sequential) and type(network).forward is nn.Sequential.forward:
        children = network
    else:
        return []
    return [link for child in children for link in chain_links(child) or [child]]
