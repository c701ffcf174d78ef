"""Values and names of options that are known without torch: what stands for a value that is left out, and the optimisers."""

# Parameters of the Beta distributions that shares are drawn from: Zhang et al. 2018 for ImageNet, Yun et al. 2019.
MIXUP_ALPHA, CUTMIX_ALPHA = 0.2, 1.0
# Share of the label that goes to all classes (Szegedy et al. 2016), and the probability of erasing (Zhong et al. 2020).
SMOOTHING, ERASING = 0.1, 0.5
# Optimisers of timm, and all. torch has a Muon too, but for matrices alone, of which a convolutional network has hardly any.
OF_TIMM = ("lamb", "lion", "muon")
OPTIMISERS = ("sgd", "adam", "adamw", "rmsprop", "adadelta", *OF_TIMM)
WITH_MOMENTUM, WITH_NESTEROV = ("sgd", "rmsprop", "muon"), ("sgd", "muon")
# What --fp16 computes in, as torch and timm call it.
AMP_TYPES = ("float16", "bfloat16")
