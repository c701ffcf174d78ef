"""Which neighbours a network has: search space files, random networks and mutation."""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Protocol

import PlainNet
from PlainNet import Block, Network, StructureError, SuperBlock, UserFileError
from PlainNet.super_blocks import SuperConvKXBNRELU
from SearchSpace.candidates import TypedSpace
from SearchSpace.least_width import least_drawn, wide_one
from SearchSpace.neighbourhood import DrawSome, ListedNeighbours, Neighbours, TypedNeighbours

_PROBE = "SuperConvK3BNRELU(3,32,2,1)SuperResK3K3(32,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
_FOLDER = Path(__file__).parent
_PREFIX = "search_space_"

Listing = Callable[[Sequence[Block], int], list[list[str]]]
SampleBlock = Callable[[Sequence[Block], int, random.Random], Block]


class HasListing(Protocol):
    """A module, or an object such as `TypedSpace`, with the listing of a search space."""

    def gen_search_space(self, block_list: Sequence[Block], block_id: int, /) -> list[list[str]]:
        """Every block string that may stand in place of a block, in lists."""
        ...


class SearchSpaceError(ValueError):
    """A search space or block file that cannot be used, with the reason."""


# Name -> space that is known by it beside those of this package.
_registered: dict[str, Listing | HasListing] = {}


def register_space(name: str, space: Listing | HasListing) -> None:
    """Make a search space known by a name, for `--search_space`.

    space: a function gen_search_space(block_list, block_id), or a module or an object with one. A name of one's own may be
    given anew. Raises SearchSpaceError for a name of this package.
    """
    if name in _of_the_package():
        raise SearchSpaceError(f"The package has a search space {name} already: give yours another name")
    _registered[name] = space


@dataclass(frozen=True)
class SearchSpace:
    """A loaded search space: how to draw one neighbouring block, and the block types it can give.

    neighbours: how to draw one that differs in some properties, or is smaller.
    is_function: whether it comes from a function or an object rather than a file or a module.
    listing: what `sample_block` draws from, where it has to list that.
    """

    name: str
    block_types: tuple[type[SuperBlock], ...]
    sample_block: SampleBlock
    neighbours: Neighbours
    is_function: bool = False
    listing: Listing | None = None

    def at_least(self, width: int) -> SearchSpace:
        """The space without blocks that are narrower; `SearchSpace.least_width` says what is.

        Where a user's file has nothing that is wide enough, or `neighbours` of its own kind, narrower ones come all the same.
        """
        sample, neighbours = _wide_sampler(self, width), self.neighbours
        if isinstance(neighbours, TypedNeighbours):
            neighbours = neighbours.at_least(width)
        elif isinstance(neighbours, ListedNeighbours):
            some = _some(self.listing, self.name, width) if self.listing else _repeated(sample)
            neighbours = ListedNeighbours(some)
        return replace(self, sample_block=sample, neighbours=neighbours)


def load_search_space(source: str | Path | Listing | HasListing, starts: Sequence[Network] = ()) -> SearchSpace:
    """A search space: a file, a name or a module, or its `gen_search_space(block_list, block_id)` itself.

    `gen_search_space` returns lists of block strings; one is drawn uniformly from all of them. A file or module may define
    `sample_block(block_list, block_id, generator)` and `block_types` beside it to draw without listing, and `neighbours` to
    change single properties of a block. A name is that of a space of this package, such as "ghostshuffle".

    starts: networks that it is used on. Where it names no `block_types`, these are found by what it lists for a network of
    SuperRes blocks, or for the first of these where it knows other blocks alone. Raises SearchSpaceError.
    """
    holder = _found(source) if isinstance(source, str | Path) else source
    name = space_name(source)
    listing = getattr(holder, "gen_search_space", holder)
    if not callable(listing):
        raise SearchSpaceError(f"{name} defines no gen_search_space(block_list, block_id)")
    if isinstance(source, str | Path):
        listing = _told_in_a_sentence(listing, name)
    own_sample = getattr(holder, "sample_block", None)
    sample = own_sample or _sampler(listing, name)
    neighbours = _neighbours(holder) or ListedNeighbours(_repeated(own_sample) if own_sample else _some(listing, name))
    types = getattr(holder, "block_types", None) or _types_known(listing, name, starts)
    is_function = not isinstance(source, str | Path | ModuleType)
    listed = None if own_sample else listing
    return SearchSpace(Path(name).stem, tuple(types), sample, neighbours, is_function, listed)


def list_spaces() -> list[str]:
    """The names of the spaces of this package, and of those that were registered."""
    return sorted({*_of_the_package(), *_registered})


def _of_the_package() -> list[str]:
    return [path.stem.removeprefix(_PREFIX) for path in _FOLDER.glob(f"{_PREFIX}*.py")]


def space_file(source: str | Path) -> str:
    """The file that a name of a space of this package stands for; anything else is a file or a registered name already."""
    if str(source) in _of_the_package() and not Path(source).is_file():
        return f"{_FOLDER.name}/{_PREFIX}{source}.py"
    return str(source)


def space_name(source: object) -> str:
    """How a search records its space: its file, or where the function was defined."""
    if isinstance(source, str | Path):
        return space_file(source)
    if isinstance(source, ModuleType):
        path = Path(getattr(source, "__file__", None) or source.__name__)
        return f"{_FOLDER.name}/{path.name}" if path.parent == _FOLDER else str(path)
    named = source if hasattr(source, "__qualname__") else type(source)
    return f"{named.__module__}.{named.__qualname__}"  # type: ignore[attr-defined]


def load_block_types(sources: Sequence[str | Path | ModuleType]) -> tuple[type[SuperBlock], ...]:
    """All super-blocks that files or modules with `register_netblocks_dict` register, in order. Raises SearchSpaceError."""
    types: list[type[SuperBlock]] = []
    for source in sources:
        module = source if isinstance(source, ModuleType) else _load(Path(source))
        if not hasattr(module, "register_netblocks_dict"):
            raise SearchSpaceError(f"{source} defines no register_netblocks_dict(netblocks_dict)")
        PlainNet.register(module)
        found = [c for c in module.register_netblocks_dict({}).values() if issubclass(c, SuperBlock)]
        if not found:
            raise SearchSpaceError(f"{source} registers no super-block")
        types += found
    return tuple(types)


def _found(source: str | Path) -> Listing | HasListing | ModuleType:
    """What is called so or lies there. Raises SearchSpaceError."""
    name, path = str(source), Path(space_file(source))
    if name in _registered and not path.is_file():
        return _registered[name]
    near = [] if path.suffix else difflib.get_close_matches(name, list_spaces(), n=1)
    if near and not path.exists():
        raise SearchSpaceError(f"There is no search space {name}; did you mean {near[0]}?")
    return _load(path)


def _load(path: Path) -> ModuleType:
    try:
        return PlainNet.load_file(path)
    except UserFileError as error:
        raise SearchSpaceError(str(error)) from error


def _told_in_a_sentence(listing: Listing, name: str) -> Listing:
    """The function of a user's file, whose errors are SearchSpaceErrors; those of a program's function are its own."""

    def told(block_list: Sequence[Block], block_id: int) -> list[list[str]]:
        try:
            return listing(block_list, block_id)
        except Exception as error:
            where = f"{block_list[block_id]}, block {block_id} of {''.join(map(str, block_list))}"
            raise SearchSpaceError(
                f"{name}: gen_search_space fails on {where}: {type(error).__name__}: {error}"
            ) from error

    return told


def _texts(lists: object, name: str) -> list[str]:
    """All block strings of what a `gen_search_space` returned. Raises SearchSpaceError where that is no list of lists of them.

    Sorted, because a user's lists may come out of sets, whose order changes from run to run.
    """
    if isinstance(lists, Iterable) and not isinstance(lists, str):
        inner = list(lists)
        if all(isinstance(texts, Iterable) and not isinstance(texts, str) for texts in inner):
            found = [text for texts in inner for text in texts]
            if all(isinstance(text, str) for text in found):
                return sorted(found)
    shown = repr(lists)
    raise SearchSpaceError(
        f"{name}: gen_search_space must return a list of lists of block strings, such as [['SuperResK3K3(8,16,1,8,1)']], not "
        + (shown if len(shown) < 80 else f"{shown[:80]}…")
    )


def _sampler(listing: Listing, name: str, least_width: int = 0) -> SampleBlock:
    """What draws one neighbour from a listing."""
    draw_some = _some(listing, name, least_width)

    def sample_block(block_list: Sequence[Block], block_id: int, generator: random.Random) -> Block:
        drawn = draw_some(block_list, block_id, 1, generator)
        return drawn[0] if drawn else block_list[block_id]

    return sample_block


def _some(listing: Listing, name: str, least_width: int = 0) -> DrawSome:
    """What draws a few neighbours from one listing."""

    def draw_some(blocks: Sequence[Block], index: int, count: int, generator: random.Random) -> list[Block]:
        candidates = _texts(listing(blocks, index), name)
        if not candidates:
            return []
        draw = lambda: _single(generator.choice(candidates))  # noqa: E731 - asked several times
        return [wide_one(draw, least_width) for _ in range(count)]

    return draw_some


def _wide_sampler(space: SearchSpace, width: int) -> SampleBlock:
    """What draws one neighbour of a space that is at least so wide."""
    sample = space.sample_block
    if space.listing:
        return _sampler(space.listing, space.name, width)
    typed = getattr(sample, "__self__", None)
    if type(typed) is TypedSpace:
        return replace(typed, smallest_width=least_drawn(width)).sample_block
    return lambda blocks, index, generator: wide_one(lambda: sample(blocks, index, generator), width)


def _repeated(sample_block: SampleBlock) -> DrawSome:
    return lambda blocks, index, count, generator: [sample_block(blocks, index, generator) for _ in range(count)]


def _neighbours(holder: object) -> Neighbours | None:
    """What a space offers itself; not what a class inherits whose listing is another than its base's."""
    if not isinstance(holder, ModuleType):
        parts = {"neighbours", "gen_search_space", "sample_block"}
        defined = (parts & vars(base).keys() for base in type(holder).__mro__)
        if "neighbours" not in next(filter(None, defined), set()):
            return None
    return getattr(holder, "neighbours", None)


def _single(text: str) -> Block:
    """The block of a listed string. Raises StructureError."""
    blocks = PlainNet.parse(text).blocks
    if len(blocks) != 1:
        raise StructureError(f"gen_search_space must list single blocks, not {''.join(map(str, blocks))}")
    return blocks[0]


def _types_known(listing: Listing, path: str, starts: Sequence[Network]) -> list[type[SuperBlock]]:
    """The types of the super-blocks that a space lists. Raises SearchSpaceError where it lists none."""
    probe = PlainNet.parse(_PROBE)
    try:
        types, problem = _types_listed(listing, path, probe, [1]), None
    except SearchSpaceError as error:
        types, problem = [], error
    if not types and starts:
        blocks = starts[0].blocks
        types = _types_listed(listing, path, starts[0], [n for n, block in enumerate(blocks) if _is_body(block)])
    if types:
        return types
    raise problem or SearchSpaceError(f"{path}: gen_search_space lists no super-block in place of {probe.blocks[1]}")


def _is_body(block: Block) -> bool:
    """Whether a block is a super-block, and neither a stem nor a head."""
    return isinstance(block, SuperBlock) and not isinstance(block, SuperConvKXBNRELU)


def _types_listed(listing: Listing, path: str, network: Network, places: Sequence[int]) -> list[type[SuperBlock]]:
    """The types of the super-blocks that are listed in some places of a network. Raises SearchSpaceError."""
    try:
        texts = [text for place in places for text in _texts(listing(list(network.blocks), place), path)]
        types = dict.fromkeys(type(PlainNet.parse(text).blocks[0]) for text in texts)
    except SearchSpaceError:
        raise
    except Exception as error:
        raise SearchSpaceError(f"{path}: gen_search_space fails on {network}: {error}") from error
    return [kind for kind in types if issubclass(kind, SuperBlock)]
