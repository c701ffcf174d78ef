"""Train an image classifier with the help of a teacher: from its logits, its maps, or both.

`python ts_train_image_classification.py --help` says how.
"""

import sys

from gsnet.commands.ts_train_image_classification import command

if __name__ == "__main__":
    sys.exit(command())
