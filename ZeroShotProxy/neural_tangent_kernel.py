"""The neural tangent kernel of a network on one batch, and its condition number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge, saved_tensors_hooks
from torch.nn import functional

from ZeroShotProxy.registry import ProxyFailure


@dataclass(frozen=True)
class _Call:
    """One call of a convolution or linear layer: its input and the place of its output in the graph."""

    layer: nn.Conv2d | nn.Linear
    inputs: Tensor
    positions: int
    edge: GradientEdge

    @property
    def is_short(self) -> bool:
        """Whether the input is a batch of vectors or maps with no more positions than one output has inputs."""
        is_batch = self.inputs.dim() == (2 if isinstance(self.layer, nn.Linear) else 4)
        return is_batch and self.positions <= self.layer.weight[0].numel()

    def rows(self) -> Tensor:
        """The unfolded input, (positions of the batch, inputs of one output)."""
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return self.inputs
        # `_is_plain` lets no convolution pass whose padding is a word.
        padding = cast(tuple[int, int], layer.padding)
        unfolded = functional.unfold(self.inputs, layer.kernel_size, layer.dilation, padding, layer.stride)
        return unfolded.transpose(1, 2).flatten(0, 1)


def neural_tangent_kernel(network: nn.Module, images: Tensor, at_once: int | None = None) -> Tensor:
    """Inner products of per-image gradients, (batch, batch) in float64.

    The gradient of an image is that of the sum of its logits with respect to every parameter whose name contains "weight".
    In training mode BN ties the images of a batch together, so a gradient runs through the other images too and no image
    can be taken alone.

    Where a layer has fewer positions in the batch than inputs to one output, its gradients are never formed. With D[i]
    (outputs, positions) the gradient at its output and X (positions, inputs) its unfolded input, the weight gradient is
    D[i] X, and <D[i] X, D[j] X> = <D[i] (X X'), D[j]>: X X' is computed once for all images.

    On a CPU the backward passes run on copies with channels last (see `_channels_last_backward`). That is what can be gained
    there: the arithmetic is the same whatever the order, as BN leaves no part of a gradient zero, and about half of the time
    goes into moving maps through memory for BN and rectifiers. benchmarks/neural_tangent_kernel_speed.py measures it against
    one plain backward pass an image.

    at_once: images whose gradients share one vectorised backward pass; by default 1 on a CPU, which is busy with one,
    and 8 on a GPU.
    """
    with _recorded_calls(network) as calls, _channels_last_backward(images):
        outputs = network(images).sum(dim=1)
    if not outputs.requires_grad:
        raise ProxyFailure("no weight reaches the logits")
    short = {parameter: called[0] for parameter, called in calls.items() if len(called) == 1 and called[0].is_short}
    whole = [p for name, p in network.named_parameters() if "weight" in name and p not in short]
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
    inputs = [*whole, *(call.edge for call in short.values())]
    if not inputs:
        raise ProxyFailure("the network has no weights")
    jacobian = _jacobian(outputs, inputs, at_once or (1 if images.device.type == "cpu" else 8))
    for gradients in jacobian[: len(whole)]:
        if gradients is not None:
            flat = gradients.flatten(1).double()
            kernel += flat @ flat.T
    for call, gradients in zip(short.values(), jacobian[len(whole) :], strict=True):
        if gradients is not None:
            kernel += _kernel_of_layer(call, gradients)
    return kernel


def _jacobian(outputs: Tensor, inputs: list, at_once: int) -> list[Tensor | None]:
    """Gradients of every output, stacked in front, with respect to each input; None where an input is unused."""
    if at_once == 1:
        parts = [torch.autograd.grad(output, inputs, retain_graph=True, allow_unused=True) for output in outputs]
        stack = torch.stack
    else:
        directions = torch.eye(len(outputs), dtype=outputs.dtype, device=outputs.device).split(at_once)
        parts = [
            torch.autograd.grad(outputs, inputs, some, retain_graph=True, allow_unused=True, is_grads_batched=True)
            for some in directions
        ]
        stack = torch.cat
    return [None if column[0] is None else stack(column) for column in zip(*parts, strict=True)]


def condition_number(kernel: Tensor) -> float:
    """Largest over smallest eigenvalue of a symmetric (batch, batch) kernel, in float64.

    Rounding can push the smallest eigenvalue to zero or below. It is taken as at least batch * epsilon times the largest, the
    resolution of the eigenvalues themselves, so a singular kernel has the largest condition number and never a negative one.
    """
    eigenvalues = torch.linalg.eigvalsh(kernel.double())
    largest, smallest = eigenvalues[-1].item(), eigenvalues[0].item()
    if not 0 < largest < float("inf"):
        raise ProxyFailure("the gradients vanish or overflow")
    return largest / max(smallest, largest * len(kernel) * torch.finfo(torch.float64).eps)


def _kernel_of_layer(call: _Call, gradients: Tensor) -> Tensor:
    """Inner products of weight gradients, from gradients at the output, (images, batch, outputs, *positions)."""
    images, batch, outputs = gradients.shape[:3]
    flat = gradients.reshape(images, batch, outputs, -1).transpose(1, 2).reshape(images * outputs, -1)
    rows = call.rows()
    products = (flat @ (rows @ rows.T)).reshape(images, -1).double()
    return products @ flat.reshape(images, -1).double().T


# Maps with fewer channels stay as they are: torch 2.14 does not go back through all of them reliably with channels last.
_FEWEST_CHANNELS = 16


@contextmanager
def _channels_last_backward(images: Tensor) -> Iterator[None]:
    """Inside this context the graph keeps what its backward passes need with channels last in memory.

    One forward pass pays for the copies and every backward pass gains: convolutions find the layout that they compute in
    instead of rearranging maps and weights each time. The forward pass itself stays as it is to the last bit; in another
    layout it would round otherwise and some rectifiers would switch, which a deep network does not forget.
    """
    if images.device.type != "cpu" or images.dtype != torch.float32:
        yield
        return
    # A rectifier and the convolution behind it save the same map. Originals are held lest another map take their place.
    copies: dict[tuple, tuple[Tensor, Tensor]] = {}

    def rearranged(saved: Tensor) -> Tensor:
        # Detached: a node that kept its own output as part of the graph would never be freed.
        saved = saved.detach()
        if saved.dim() != 4 or saved.shape[1] < _FEWEST_CHANNELS:
            return saved
        identity = (saved.data_ptr(), saved.shape, saved.stride(), saved._version)
        if identity not in copies:
            copies[identity] = saved, saved.contiguous(memory_format=torch.channels_last)
        return copies[identity][1]

    with saved_tensors_hooks(rearranged, lambda saved: saved):
        yield
    # The graph holds the hook, and through it these.
    copies.clear()


@contextmanager
def _recorded_calls(network: nn.Module) -> Iterator[dict[Tensor, list[_Call]]]:
    calls: dict[Tensor, list[_Call]] = {}

    def remember(layer: nn.Module, inputs: tuple, output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d | nn.Linear) and output.requires_grad:
            positions = output.shape[0] * output[0, 0].numel()
            call = _Call(layer, inputs[0].detach(), positions, get_gradient_edge(output))
            calls.setdefault(layer.weight, []).append(call)

    handles = [layer.register_forward_hook(remember) for layer in network.modules() if _is_plain(layer)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _is_plain(layer: nn.Module) -> bool:
    if type(layer) is nn.Linear:
        return True
    is_dense = type(layer) is nn.Conv2d and layer.groups == 1 and layer.padding_mode == "zeros"
    return is_dense and not isinstance(layer.padding, str)
