"""Evaluate a detector, or files of detections, by VisDrone's official protocol and by COCO's.

`python val_detection.py --help` says how.
"""

import sys

from gsnet.commands.val_detection import command

if __name__ == "__main__":
    sys.exit(command())
