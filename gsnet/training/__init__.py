"""Training and distillation of classifiers: schedules, losses, the loop, and checkpoints that no kill can lose."""
