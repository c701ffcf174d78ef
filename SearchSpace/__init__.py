"""Which neighbours a network has: search space files, random networks and mutation."""

from __future__ import annotations

import importlib
import importlib.util
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import PlainNet
from PlainNet import Block, StructureError, SuperBlock

_PROBE = "SuperConvK3BNRELU(3,32,2,1)SuperResK3K3(32,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
_ROOT = Path(__file__).parent.parent


class SearchSpaceError(ValueError):
    """A search space or block file that cannot be used, with the reason."""


@dataclass(frozen=True)
class SearchSpace:
    """A loaded search space file: how to draw one neighbouring block, and the block types it can give."""

    name: str
    block_types: tuple[type[SuperBlock], ...]
    sample_block: Callable[[Sequence[Block], int, random.Random], Block]


def load_search_space(path: str | Path) -> SearchSpace:
    """The search space in a Python file that defines `gen_search_space(block_list, block_id)`.

    `gen_search_space` returns lists of block strings; one is drawn uniformly from all of them. A file may define
    `sample_block(block_list, block_id, generator)` and `block_types` beside it to draw without listing. Raises
    SearchSpaceError.
    """
    module = _load(Path(path))
    listing = getattr(module, "gen_search_space", None)
    if listing is None:
        raise SearchSpaceError(f"{path} defines no gen_search_space(block_list, block_id)")
    sample = getattr(module, "sample_block", None) or _sampler(listing)
    types = getattr(module, "block_types", None) or _types_listed(listing, path)
    return SearchSpace(Path(path).stem, tuple(types), sample)


def load_block_types(paths: Sequence[str | Path]) -> tuple[type[SuperBlock], ...]:
    """All super-blocks that the given PlainNet files register, in order. Raises SearchSpaceError."""
    types: list[type[SuperBlock]] = []
    for path in paths:
        register = getattr(_load(Path(path)), "register_netblocks_dict", None)
        if register is None:
            raise SearchSpaceError(f"{path} defines no register_netblocks_dict(netblocks_dict)")
        found = [c for c in register({}).values() if issubclass(c, SuperBlock)]
        if not found:
            raise SearchSpaceError(f"{path} registers no super-block")
        for block_class in found:
            if PlainNet.registered_blocks().get(block_class.__name__) is not block_class:
                raise SearchSpaceError(
                    f"{block_class.__name__} of {path} is not registered: put the file into PlainNet/ and add its two "
                    "registration lines at the end of PlainNet/__init__.py"
                )
        types += found
    return tuple(types)


def _load(path: Path) -> ModuleType:
    if not path.is_file() and (_ROOT / path).is_file():
        path = _ROOT / path
    if not path.is_file():
        raise SearchSpaceError(f"{path} does not exist")
    resolved = path.resolve()
    if resolved.parent.parent == _ROOT.resolve():
        return importlib.import_module(f"{resolved.parent.name}.{resolved.stem}")
    spec = importlib.util.spec_from_file_location(resolved.stem, resolved)
    if spec is None or spec.loader is None:
        raise SearchSpaceError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SearchSpaceError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _sampler(listing: Callable[[Sequence[Block], int], list[list[str]]]):  # type: ignore[no-untyped-def]
    def sample_block(block_list: Sequence[Block], block_id: int, generator: random.Random) -> Block:
        # Sorted, because a user's lists may come out of sets, whose order changes from run to run.
        candidates = sorted(text for texts in listing(block_list, block_id) for text in texts)
        if not candidates:
            return block_list[block_id]
        blocks = PlainNet.parse(generator.choice(candidates)).blocks
        if len(blocks) != 1:
            raise StructureError(f"gen_search_space must list single blocks, not {''.join(map(str, blocks))}")
        return blocks[0]

    return sample_block


def _types_listed(listing: Callable[[Sequence[Block], int], list[list[str]]], path: str | Path) -> list:
    probe = PlainNet.parse(_PROBE)
    try:
        texts = [text for texts in listing(list(probe.blocks), 1) for text in texts]
        return list(dict.fromkeys(type(PlainNet.parse(text).blocks[0]) for text in sorted(texts)))
    except Exception as error:
        raise SearchSpaceError(f"{path}: gen_search_space fails on {_PROBE}: {error}") from error
