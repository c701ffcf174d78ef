"""What options of training that may stand alone mean without a value."""

# Parameters of the Beta distributions that shares are drawn from: Zhang et al. 2018 for ImageNet, Yun et al. 2019.
MIXUP_ALPHA, CUTMIX_ALPHA = 0.2, 1.0
# Share of the label that goes to all classes (Szegedy et al. 2016), and the probability of erasing (Zhong et al. 2020).
SMOOTHING, ERASING = 0.1, 0.5
