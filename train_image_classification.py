"""Train an image classifier.

`python train_image_classification.py --help` says how.
"""

import sys

from gsnet.commands.train_image_classification import command

if __name__ == "__main__":
    sys.exit(command())
