"""A network as a folder that others can load: weights, what they are of, and a page that says so to people.

The layout is that of timm's models on Hugging Face's hub: model.safetensors, config.json (architecture, model_args,
pretrained_cfg) and README.md, a model card. `timm.create_model("local-dir:FOLDER", pretrained=True)` reads it and, once
uploaded, `timm.create_model("hf-hub:USER/NAME", pretrained=True)`, after `ZenNet.register_with_timm()`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from torch import nn

import PlainNet
from gsnet.interface.description import KEY, NetworkDescription
from gsnet.interface.files import made_for, write_text
from gsnet.interface.options import InputError
from gsnet.interface.result_files import CONFIG
from gsnet.models.analysis import analyze_network
from gsnet.models.described import HUB_WEIGHTS, is_result
from gsnet.models.expected import of_description
from gsnet.models.exporting import export

ARCHITECTURE = "gsnet"
_CLASSIFIER = "fc_linear.netblock"
_BUDGETS = {
    "max_layers": "layers",
    "budget_model_size": "parameters",
    "budget_flops": "FLOPs",
    "budget_mac": "memory access",
    "growth": "growth of the gradient",
    "peak_memory": "bytes of maps that live at once",
    "weights": "bytes of weights",
    "budget_latency": "seconds an image",
}


def write_folder(network: nn.Module, description: NetworkDescription, folder: Path, licence: str) -> float:
    """Write the three files; returns the largest relative difference of an output after reading the weights back.

    licence: of the weights, as the hub names licences ("apache-2.0"). Raises ExportError, and InputError for a network without
    a structure and for a folder that holds other results.
    """
    if description.structure is None:
        raise InputError(f"{description.arch} has no structure: a folder for timm is of structures, use its own export")
    if not (folder / HUB_WEIGHTS).exists() and (is_result(folder) or (folder / CONFIG).exists()):
        raise InputError(f"{folder} holds other results, whose {CONFIG} would be lost: name another folder")
    size, texts = (description.resolution, description.resolution), {KEY: description.to_json()}
    with made_for(folder):
        difference = export(network, folder / HUB_WEIGHTS, "safetensors", size, metadata=texts)
    write_text(folder / CONFIG, json.dumps(configuration(description), indent=2) + "\n")
    write_text(folder / "README.md", model_card(description, folder.resolve().name, licence))
    return difference


def configuration(description: NetworkDescription) -> dict[str, Any]:
    """config.json, as timm reads it."""
    network = PlainNet.parse(description.structure or "")
    expected, style = of_description(description), description.style
    values: dict[str, Any] = {
        "architecture": ARCHITECTURE,
        "num_classes": description.classes,
        "num_features": network.out_channels,
        "global_pool": "avg",
        "model_args": {
            "structure": str(network),
            "unit": description.unit,
            "use_se": style.use_se,
            "se_activation": style.se_activation,
            "no_BN": style.no_BN,
            "no_reslink": style.no_reslink,
            "bn_eps": style.bn_eps if description.bn_eps is None else description.bn_eps,
        },
        "pretrained_cfg": {
            "input_size": [network.in_channels, expected.resolution, expected.resolution],
            "fixed_input_size": False,
            "interpolation": expected.interpolation,
            "crop_pct": _crop_share(expected.crop, expected.resize),
            "crop_mode": expected.crop_mode,
            "mean": list(expected.mean),
            "std": list(expected.std),
            "num_classes": description.classes,
            "classifier": _CLASSIFIER,
        },
        KEY: description.to_dict(),
    }
    if description.class_names:
        values["label_names"] = list(description.class_names)
    return values


def _crop_share(crop: int, resize: int) -> float:
    """The share of the resized side that is kept, of which timm makes `resize` again by rounding crop / share down."""
    share = crop / resize
    return share if math.floor(crop / share) == resize else crop / (resize + 1e-6)


def model_card(description: NetworkDescription, name: str, licence: str) -> str:
    """README.md: what people, and the hub by its head, are told of the network."""
    parts = [
        _head(description, licence),
        f"# {name}",
        "An image classifier in GSNet's language of structure strings.",
        _figures(description),
        _input(description),
        _found(description),
        f"## Use\n\n```python\nimport timm\nimport ZenNet\n\nZenNet.register_with_timm()\n"
        f'network = timm.create_model("local-dir:{name}", pretrained=True).eval()\n```\n\n'
        f"`gsnet val --arch {name}` validates it, and says at which resolution and with which normalisation.",
        f"## Structure\n\n```\n{description.structure}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(description: NetworkDescription, licence: str) -> str:
    lines = ["tags:", "- image-classification", "- timm", "- gsnet", "pipeline_tag: image-classification"]
    lines += ["library_name: timm", f"license: {json.dumps(licence)}"]
    if description.dataset:
        lines += ["datasets:", f"- {json.dumps(description.dataset)}"]
    return "\n".join(["---", *lines, "---"])


def _figures(description: NetworkDescription) -> str:
    network = PlainNet.parse(description.structure or "")
    costs = analyze_network(network, description.resolution, description.classes, description.style)
    rows = [
        ("parameters", f"{costs.parameters:,}"),
        ("FLOPs (multiply-accumulates)", f"{costs.flops:,}"),
        ("memory access, elements", f"{costs.memory_access:,}"),
        ("layers", f"{costs.layers}"),
    ]
    if (top1 := description.accuracy.get("top1")) is not None:
        images = description.accuracy.get("images")
        rows.append((f"top-1 on {images} images of {description.dataset}", f"{top1:.2f} %"))
    if (top5 := description.accuracy.get("top5")) is not None and description.classes > 5:
        rows.append(("top-5", f"{top5:.2f} %"))
    if costs.memory is not None:
        rows += [(name, values) for name, values in costs.memory.in_words().items()]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    side = description.resolution
    return f"## Figures\n\nOf one image of {side} x {side} pixels.\n\n| | |\n|---|---|\n{table}"


def _input(description: NetworkDescription) -> str:
    expected = of_description(description)
    assumed = " (nobody recorded it: the customary values)" if expected.assumed else ""
    return f"## Images\n\nTest images reach it {expected.described()}{assumed}."


def _found(description: NetworkDescription) -> str:
    search, versions = description.search, description.versions
    lines = []
    if proxy := search.get("zero_shot_score"):
        lines.append(f"Search: {proxy} score {search.get('score', math.nan):.6g}.")
    precision = f" (in {search['memory_precision']})" if "memory_precision" in search else ""
    if budgets := search.get("budgets"):
        lines.append(
            "Budgets: " + ", ".join(f"{_BUDGETS.get(k, k)} {_number(v)}" for k, v in budgets.items()) + f"{precision}."
        )
    if command := search.get("command"):
        lines.append(f"The search's command:\n\n```bash\n{command}\n```")
    if description.dataset:
        epoch = description.accuracy.get("epoch")
        after = "" if epoch is None else f", epoch {epoch + 1}"
        lines.append(f"Trained on {description.dataset}{after}, seed {description.seed}.")
    if made := ", ".join(f"{name} {value}" for name, value in versions.items() if value):
        lines.append(f"Made with {made}.")
    return "## How it came about\n\n" + "\n\n".join(lines) if lines else ""


def _number(value: float) -> str:
    """As people write it: 5,000,000 and 0.0008."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"
