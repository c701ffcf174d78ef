"""Train GSNet's detector on VisDrone, COCO, YOLO, UAVDT or Pascal VOC data.

`python train_detection.py --help` says how.
"""

import sys

from gsnet.commands.train_detection import command

if __name__ == "__main__":
    sys.exit(command())
