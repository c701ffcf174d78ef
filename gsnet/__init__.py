"""GSNet: finds convolutional backbones for small machines without training a single candidate."""
