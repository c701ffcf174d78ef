"""From a budget to a trained network, in one file: search, look, compare, train a little.

    pip install -e .        # or, without an installation: export PYTHONPATH=.
    python examples/search_from_python.py
    python examples/search_from_python.py --iterations 50000 --save_dir save_dir/from_python

The cells between `# %%` run one by one in editors that know them (VS Code, PyCharm, Spyder, Jupyter by jupytext).
"""

# %% What to look for
import argparse
from pathlib import Path

import torch
from torch import nn

import gsnet
from Masternet import MasterNet

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--iterations", type=int, default=5000, help="proposals of the search (default: %(default)s)")
parser.add_argument("--steps", type=int, default=30, help="training steps (default: %(default)s)")
parser.add_argument("--save_dir", type=Path, help="results folder of the search; without it nothing is written")
options = parser.parse_args()

START = (
    "SuperConvK3BNRELU(3,16,1,1)SuperGhostShuffleK3(16,32,2,16,1)"
    "SuperGhostShuffleK3(32,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)

# %% Search: microseconds a candidate, since the closed form needs no forward pass
result = gsnet.search(
    START,
    space="ghostshuffle",
    proxy="ZenClosedForm",
    budgets={"params": 100e3, "flops": 10e6, "layers": 12},
    iterations=options.iterations,
    resolution=32,
    num_classes=10,
    save_dir=options.save_dir,
    progress=True,
)
print(result)
best = result.best
if best is None:
    raise SystemExit("Nothing was scored: give the search more iterations")
print(gsnet.analyze(best.network, resolution=32, num_classes=10))

# %% What else was on offer: a smaller network costs score
print(f"{'score':>8} {'parameters':>11} {'FLOPs':>12}")
for row in result.pareto[:: max(1, len(result.pareto) // 8)]:
    print(f"{row.score:8.2f} {row.parameters:11,} {row.flops:12,}")

# %% A second opinion, by proxies that look at a batch of images
for name in ("NASWOT", "Syncflow", "GradNorm"):
    print(f"{name:>10} {gsnet.score(best.network, name, resolution=32, num_classes=10, batch_size=8):.4g}")

# %% Train it a little: images of ten colours, which it can learn in seconds
torch.manual_seed(0)
model = MasterNet(num_classes=10, plainnet_struct=best.network)
colours = torch.rand(10, 3, 1, 1)
optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for step in range(options.steps):
    labels = torch.randint(10, (32,))
    images = colours[labels] + 0.1 * torch.randn(32, 3, 32, 32)
    loss = nn.functional.cross_entropy(model(images), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 10 == 0 or step == options.steps - 1:
        print(f"step {step}: loss {loss.item():.3f}")
