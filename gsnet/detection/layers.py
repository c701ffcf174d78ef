"""The small chains of layers that neck and head are made of."""

from __future__ import annotations

from torch import Tensor, nn

SLOPE = 0.1


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution without bias, padded to keep the size at stride 1, and batch normalisation."""
    padding = kernel_size // 2
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels)]


def conv_bn_act(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution, batch normalisation, leaky ReLU."""
    return nn.Sequential(*conv_bn(in_channels, out_channels, kernel_size, stride, groups), leaky_relu())


def depthwise_separable(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """Depth-wise then 1 x 1 convolution, each with batch normalisation and leaky ReLU (Howard et al. 2017, figure 3)."""
    return nn.Sequential(
        *conv_bn_act(in_channels, in_channels, kernel_size, stride, groups=in_channels),
        *conv_bn_act(in_channels, out_channels, 1),
    )


def leaky_relu() -> nn.Module:
    """Leaky ReLU of slope 0.1."""
    return nn.LeakyReLU(SLOPE, inplace=True)


def init_kaiming(module: nn.Module) -> None:
    """Kaiming normal, fan out, gain sqrt 2, for every convolution of a module (He et al. 2015, section 2.2)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def init_normal(module: nn.Module, std: float = 0.01) -> None:
    """Normal weights and no bias for every convolution of a module."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, 0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def flat_cells(maps: Tensor) -> Tensor:
    """(N, C, h, w) to (N, h w, C): cells in rows."""
    return maps.flatten(2).transpose(1, 2)
