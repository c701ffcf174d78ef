"""A network of ours as a fixed feature extractor: one vector an image, and a linear classifier that is solved, not trained.

    pip install -e ".[extra]"
    python examples/feature_extractor.py                                # random weights: what the structure alone sees
    python examples/feature_extractor.py --model local-dir:FOLDER       # a folder that gsnet export wrote, with its weights

It ends with the accuracy on drawn textures: stripes of four directions, in any bright colour and at any place.
"""

# %% The network: a name of timm's factory, which knows ours after the first line
import argparse
import math

import timm
import torch
from torch import Tensor

import ZenNet

STRUCTURE = (
    "SuperConvK3BNRELU(3,32,2,1)SuperResK3K3(32,64,2,32,1)SuperResK3K3(64,128,2,64,1)SuperConvK1BNRELU(128,256,1,1)"
)
DIRECTIONS = 4

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", default="example_extractor", help="name for timm.create_model (default: %(default)s)")
parser.add_argument("--images", type=int, default=200, help="to solve for, half as many to test (default: %(default)s)")
options = parser.parse_args()

ZenNet.register_with_timm(example_extractor=STRUCTURE)
torch.manual_seed(0)
pretrained = "local-dir:" in options.model
network = timm.create_model(
    options.model, pretrained=pretrained, num_classes=0
).eval()  # no classifier: vectors come out
channels, side, _ = timm.data.resolve_model_data_config(network)["input_size"] if pretrained else (3, 32, 32)


# %% Stripes
def draw(number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images (N, channels, side, side), and which of the directions their stripes have (N,)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    labels = torch.randint(DIRECTIONS, (number,), generator=generator)
    angle = (labels * math.pi / DIRECTIONS)[:, None, None]
    phase = 2 * math.pi * torch.rand(number, 1, 1, generator=generator)
    waves = torch.sin(2 * math.pi / 6 * (x * angle.cos() + y * angle.sin()) + phase)
    colours = 0.5 + torch.rand(number, channels, 1, 1, generator=generator)
    return waves[:, None] * colours + 0.1 * torch.randn(number, channels, side, side, generator=generator), labels


@torch.no_grad()
def vectors(images: Tensor) -> Tensor:
    """One vector of features an image, (N, num_features + 1), the last of them 1."""
    features = torch.cat([network(part) for part in images.split(50)])
    return torch.cat((features / features.std(), torch.ones(len(features), 1)), 1)


# %% Solve the linear classifier by least squares (ridge), and test it
generator = torch.Generator().manual_seed(0)
images, labels = draw(options.images, generator)
seen, wanted = vectors(images), torch.eye(DIRECTIONS)[labels]
weights = torch.linalg.solve(seen.T @ seen + 0.1 * torch.eye(seen.shape[1]), seen.T @ wanted)
images, labels = draw(options.images // 2, generator)
right = (vectors(images) @ weights).argmax(1) == labels
print(f"{network.num_features} features an image, accuracy {100 * right.float().mean().item():.1f} % (chance 25 %)")
