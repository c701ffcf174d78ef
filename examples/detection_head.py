"""torchvision's FCOS on a network of ours, trained on bright discs and dark squares.

    pip install -e ".[extra]"
    python examples/detection_head.py

It ends with the share of objects that were found on images that were not trained on. RetinaNet takes the same backbone. (The
detector of this toolkit is `gsnet train_detection`.)
"""

# %% The network: any line of a best_structure.txt with maps at strides 8, 16 and 32
import argparse

import timm
import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork, box_iou

import ZenNet

STRUCTURE = (
    "SuperConvK3BNRELU(3,16,2,1)SuperResK3K3(16,24,2,16,1)SuperResK3K3(24,32,2,24,1)"
    "SuperResK3K3(32,48,2,32,1)SuperResK3K3(48,64,2,48,1)SuperConvK1BNRELU(64,128,1,1)"
)
CLASSES = ("disc", "square")

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=60, help="training steps (default: %(default)s)")
parser.add_argument(
    "--side", type=int, default=96, help="of the images, a multiple of 32 pixels (default: %(default)s)"
)
options = parser.parse_args()


# %% Images with a bright disc and a dark square each, and their boxes
def draw(number: int, side: int, generator: torch.Generator) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Images (3, side, side), and of each the boxes (2, 4) as x1, y1, x2, y2 and the labels (2,)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    images, targets = [], []
    for _ in range(number):
        image, boxes = 0.3 * torch.randn(3, side, side, generator=generator), []
        for label in range(len(CLASSES)):
            row, column = torch.randint(side // 4, 3 * side // 4, (2,), generator=generator).tolist()
            radius = int(torch.randint(side // 8, side // 4, (1,), generator=generator))
            down, right = (y - row).abs(), (x - column).abs()
            inside = down**2 + right**2 < radius**2 if label == 0 else torch.maximum(down, right) < radius
            shade = 0.5 + torch.rand(3, 1, generator=generator)
            image[:, inside] += shade if label == 0 else -shade
            boxes.append([column - radius, row - radius, column + radius, row + radius])
        images.append(image)
        targets.append({"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.arange(len(CLASSES))})
    return images, targets


# %% The last three maps through a feature pyramid: what torchvision's one-stage detectors read
class Backbone(nn.Module):
    """Images (N, 3, H, W) to maps of `out_channels` channels at strides 8, 16 and 32."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.body = timm.create_model("gsnet", structure=STRUCTURE, features_only=True, out_indices=(-3, -2, -1))
        widths = self.body.feature_info.channels()  # type: ignore[operator, union-attr]
        self.pyramid = FeaturePyramidNetwork(widths, out_channels)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The maps by their names."""
        return self.pyramid({str(place): found for place, found in enumerate(self.body(images))})


ZenNet.register_with_timm()
torch.manual_seed(0)
generator = torch.Generator().manual_seed(0)
network = FCOS(
    Backbone(32),
    num_classes=len(CLASSES),
    anchor_generator=AnchorGenerator(((8,), (16,), (32,)), ((1.0,),) * 3),
    min_size=options.side,
    max_size=options.side,
    image_mean=[0.0, 0.0, 0.0],
    image_std=[1.0, 1.0, 1.0],
)

# %% Train
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
network.train()
for step in range(options.steps):
    images, targets = draw(8, options.side, generator)
    loss = sum(network(images, targets).values(), torch.zeros(()))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0 or step == options.steps - 1:
        print(f"step {step}: loss {loss.item():.3f}")

# %% Look at what it found: of each class the best box, which is right where it overlaps the object by half
network.eval()
images, targets = draw(16, options.side, generator)
with torch.no_grad():
    detections = network(images)
right = 0
for detection, target in zip(detections, targets, strict=True):
    for label, box in zip(target["labels"], target["boxes"], strict=True):
        boxes = detection["boxes"][detection["labels"] == label]
        right += int(len(boxes) > 0 and box_iou(boxes[:1], box[None]).item() >= 0.5)
print(f"{right} of {len(images) * len(CLASSES)} objects found ({100 * right / (len(images) * len(CLASSES)):.0f} %)")
