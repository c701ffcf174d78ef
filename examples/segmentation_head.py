"""A U-Net of segmentation_models_pytorch on a network of ours, trained on bright discs and dark squares.

    pip install -e ".[extra]" segmentation-models-pytorch
    python examples/segmentation_head.py
    python examples/segmentation_head.py --encoder tu-local-dir:FOLDER    # a folder that gsnet export wrote, with its weights

It ends with the intersection over union on images that were not trained on.
"""

# %% The network: any line of a best_structure.txt with maps at strides 2, 4, 8, 16 and 32
import argparse

import segmentation_models_pytorch as smp
import torch
from torch import Tensor
from torch.nn import functional

import ZenNet

STRUCTURE = (
    "SuperConvK3BNRELU(3,16,2,1)SuperResK3K3(16,24,2,16,1)SuperResK3K3(24,32,2,24,1)"
    "SuperResK3K3(32,48,2,32,1)SuperResK3K3(48,64,2,48,1)SuperConvK1BNRELU(64,128,1,1)"
)
CLASSES = ("background", "disc", "square")

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--encoder", default="tu-example_backbone", help="name in the library (default: %(default)s)")
parser.add_argument("--steps", type=int, default=60, help="training steps (default: %(default)s)")
parser.add_argument(
    "--side", type=int, default=64, help="of the images, a multiple of 32 pixels (default: %(default)s)"
)
options = parser.parse_args()


# %% Images with a bright disc and a dark square each, and the class of every pixel
def draw(number: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images (N, 3, side, side) and their classes (N, side, side)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    images = 0.3 * torch.randn(number, 3, side, side, generator=generator)
    masks = torch.zeros(number, side, side, dtype=torch.long)
    for image, mask in zip(images, masks, strict=True):
        for label in (1, 2):
            row, column = torch.randint(side // 4, 3 * side // 4, (2,), generator=generator)
            radius = torch.randint(side // 8, side // 4, (1,), generator=generator)
            down, right = (y - row).abs(), (x - column).abs()
            inside = down**2 + right**2 < radius**2 if label == 1 else torch.maximum(down, right) < radius
            shade = 0.5 + torch.rand(3, 1, generator=generator)
            image[:, inside] += shade if label == 1 else -shade
            mask[inside] = label
    return images, masks


# %% The library takes names of timm as `tu-NAME`: after this line, ours too
ZenNet.register_with_timm(example_backbone=STRUCTURE)
torch.manual_seed(0)
generator = torch.Generator().manual_seed(0)
weights = True if "local-dir:" in options.encoder else None
network = smp.Unet(options.encoder, encoder_weights=weights, decoder_channels=(32, 24, 16, 16, 8), classes=len(CLASSES))

# %% Train
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
network.train()
for step in range(options.steps):
    images, masks = draw(8, options.side, generator)
    loss = functional.cross_entropy(network(images), masks)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0 or step == options.steps - 1:
        print(f"step {step}: loss {loss.item():.3f}")

# %% Look at what it learnt
network.eval()
images, masks = draw(32, options.side, generator)
with torch.no_grad():
    found = network(images).argmax(1)
counts = smp.metrics.get_stats(found, masks, mode="multiclass", num_classes=len(CLASSES))
by_class = smp.metrics.iou_score(*(count.sum(0) for count in counts))
for name, value in zip(CLASSES, by_class.tolist(), strict=True):
    print(f"{name}: IoU {value:.3f}")
print(f"mean IoU {by_class.mean().item():.3f} on {len(images)} images")
