"""What several test files share."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

import PlainNet
import SearchSpace
from gsnet.data import DATASETS
from gsnet.interface import plugins
from gsnet.runtimes import registry as runtimes_registry
from ZenNet import catalogue
from ZeroShotProxy import registry

_HERE = Path(__file__).parent


def pytest_configure() -> None:
    """Tests are of a processor, also where there is a GPU, which those that are marked `gpu` use in processes of their own."""
    os.environ.setdefault("GSNET_TEST_GPUS", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums of several threads end in other bits than those of one, which processes that tests start have.

    Small networks are faster on one, too, than on threads that wait for each other.
    """
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest comes first: of two processes that share the files, none waits for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_scripts.py")


def _beside(name: str) -> ModuleType:
    """A module of this folder that holds no tests."""
    spec = importlib.util.spec_from_file_location(name, _HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pretended() -> ModuleType:
    """The module pretended_gpu, where torch can pretend a GPU."""
    module = _beside("pretended_gpu")
    if not module.can_be_pretended():
        pytest.skip("this torch pretends no GPU where there is none")
    return module


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A command like `python` whose processes have torch in memory from the start: for tests that start many of them.

    Functions of tests that are no fixtures find it by the environment, as WARM_PYTHON.
    """
    with _beside("warm_python").WarmPython(tmp_path_factory.mktemp("warm")) as python:
        os.environ["WARM_PYTHON"] = str(python.command)
        yield python.command


@pytest.fixture(autouse=True)
def plugins_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test loaded is recorded in no results folder of this one."""
    monkeypatch.setattr(plugins, "_loaded", plugins.Loaded())


@pytest.fixture
def registries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten after it."""
    for holder, name in (
        *((PlainNet, "_all_netblocks_dict_"), (PlainNet, "_users"), (registry, "_registered")),
        *((SearchSpace, "_registered"), (catalogue, "_registered"), (runtimes_registry, "_registered")),
    ):
        monkeypatch.setattr(holder, name, dict(getattr(holder, name)))
    data_sets = dict(DATASETS)
    known = registry._registered.copy()
    yield
    # Files of the package register once, when they are first imported: what they registered stays.
    known |= {name: proxy for name, proxy in registry._registered.items() if name in registry.PROXY_FILES}
    monkeypatch.undo()
    registry._registered.update(known)
    DATASETS.clear()
    DATASETS.update(data_sets)


@pytest.fixture(scope="session")
def noise_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of noise in the layout of a classification data set: ten classes, four training and one test image each."""
    folder, random = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for split, images in (("train", 4), ("test", 1)):
        for label in range(10):
            (folder / split / str(label)).mkdir(parents=True)
            for i in range(images):
                picture = random.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(picture).save(folder / split / str(label) / f"{i}.png")
    return folder
