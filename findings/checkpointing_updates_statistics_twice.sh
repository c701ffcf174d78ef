#!/usr/bin/env bash
# torch 2.14.1 and timm 1.0.31: gradient checkpointing of a network with batch normalisation.
#
# Expected: checkpointing trades time for memory and changes nothing else: the same statistics after the same step.
# Seen: blocks under `set_grad_checkpointing` run forward twice in a training step, and BN counts both: `num_batches_tracked` is 2
#   after one step, and running means moved by 19 % of the way instead of 10 %. Outputs and gradients are the same; a validation
#   after a short training, or with a momentum chosen for its length, is not.
# Last line: as described: one training step under checkpointing updates BN's running statistics twice
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 timm==1.0.31 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import timm
import torch


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def after_a_step(checkpointing):
    torch.manual_seed(0)
    model = timm.create_model("resnet18").train()
    model.set_grad_checkpointing(checkpointing)
    loss = model(torch.randn(4, 3, 64, 64)).square().mean()
    loss.backward()
    return loss.item(), model.layer1[0].bn1, model.bn1, model.conv1.weight.grad


plain_loss, plain, plain_stem, plain_gradient = after_a_step(False)
loss, norm, stem, gradient = after_a_step(True)
expect("the same loss", loss == plain_loss, True)
expect("the same gradient", torch.allclose(gradient, plain_gradient, rtol=1e-4, atol=1e-7), True)
expect("batches tracked without and with checkpointing", [int(plain.num_batches_tracked), int(norm.num_batches_tracked)], [1, 2])
expect("and outside of checkpointed blocks", [int(plain_stem.num_batches_tracked), int(stem.num_batches_tracked)], [1, 1])
moved = (norm.running_mean.norm() / plain.running_mean.norm()).item()
expect("running mean has moved, times as far", round(moved, 3), 1.9)
print("as described: one training step under checkpointing updates BN's running statistics twice")
PYTHON
