"""The numbers that describe a map of a random network; `ZeroShotProxy.mean_field_kernel` says what is done with them.

A map is a row of numbers: a header, up to `GROUPS` groups of channels of one kind, and a profile along one axis for each run:
of the variance, and of the squared difference between the clean and the perturbed one.
"""

# Header of a map. RUNS: 2, or 1 where no score is wanted: neither the perturbed run nor the BN sum is followed then. NORM:
# relative variance from position to position of the squared norm that all channels share. OVERLAP: mean squared correlation
# between two channels. *_LAG: variance, in squared pixels, of the distance over which these are alike. JITTER: half the
# relative variance of BN's statistic over draws of the weights. CHANGE_NORM: NORM of the difference between the clean and the
# perturbed run; CHANGE_OWN: what one channel adds to it. ROOT: mean square root of the profile.
COUNT, SIZE, RUNS, LOG_SCALE, NORM, NORM_LAG, OVERLAP, OVERLAP_LAG, JITTER, CHANGE_NORM, CHANGE_OWN, ROOT = range(12)
HEADER = 12
# A group. OFFSET: variance over channels of a channel's own mean. THIRD, FOURTH: cumulants. CHANGE: mean absolute
# difference of the two runs, right behind a rectifier only; 0 elsewhere, where the difference is Gaussian.
CHANNELS, MEAN, VARIANCE, COVARIANCE, OFFSET, THIRD, FOURTH, CHANGE = range(8)
FIELDS = 8
GROUPS = 24
PROFILE = HEADER + GROUPS * FIELDS
# Rows of the map's height behind the groups: two profiles and room to work, with a window's padding and weights besides.
PROFILE_ROWS = 5
LARGEST_KERNEL = 31
SPARE = 4 * LARGEST_KERNEL
STACK = 12

DONE, TOO_MANY_GROUPS, WINDOW_TOO_LARGE, SHAPES_DIFFER, UNEVEN_POOLING, TOO_DEEP, NO_POSITIONS, NOT_JOINED = range(8)
