"""What every block is: an immutable value that knows its widths, its text and its costs.

Nothing here imports torch; a module is built by `Block.module`, which imports it when called.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import count
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, TypeVar

from PlainNet.costs import Cost, Figures
from PlainNet.errors import NoMeanFieldRuleError, StructureError
from PlainNet.lazy import lazy, remembered
from PlainNet.style import PLAIN, Style

if TYPE_CHECKING:
    from torch import nn

    from PlainNet.mean_field import Steps

BlockT = TypeVar("BlockT", bound="Block")
LARGEST_INTEGER = 10**9
# Of classes that are not the package's, in the order in which they are met.
_numbers = count(1)


class Arguments(Protocol):
    """What a block reads its arguments from: a cursor behind its opening bracket. Methods raise StructureError."""

    label: str

    def blocks(self) -> tuple[Block, ...]:
        """At least one block, up to the closing bracket or the semicolon that ends them."""
        ...

    def branches(self) -> list[tuple[Block, ...]]:
        """Branches separated by semicolons."""
        ...

    def integers(self, block_class: type[Block]) -> list[int]:
        """Exactly the integers that a block takes, separated by commas."""
        ...

    def leading_integers(self, at_most: int) -> list[int]:
        """Up to `at_most` integers, each followed by a comma, that may stand before blocks."""
        ...


class Block:
    """Base of every block: a frozen dataclass whose integer fields, in order, are the structure string's arguments.

    A primitive defines `parameters`/`cost` and `module`; a super-block (`PlainNet.super_blocks.SuperBlock`) only says
    which primitives it expands to.
    """

    # Only annotated, never assigned here: a value would become the default of the dataclass field of that name.
    in_channels: int
    out_channels: int
    # Activations act on whatever width arrives: the number in their string is a note, and is not checked. So do brackets
    # that hold nothing else.
    any_width: ClassVar[bool] = False

    if TYPE_CHECKING:
        # Read-only, because a field of some blocks and the same for all objects of others.
        @property
        def stride(self) -> int:
            """How many pixels the window moves."""

    @lazy
    def depth(self) -> int:
        """Layers as budgets count them: `sub_layers`, 0 for a block that has none."""
        return getattr(self, "sub_layers", 0)

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """The names of the arguments in the structure string, in order."""
        return _argument_names(cls)

    @classmethod
    def lower_limit(cls, argument: str) -> int:
        """The smallest value that makes sense for an argument."""
        del argument
        return 1

    @classmethod
    def read(cls, reader: Arguments) -> Self:
        """Parse the arguments; the reader stands behind the opening bracket and is left before the closing one."""
        return cls(*reader.integers(cls))

    @lazy
    def text(self) -> str:
        """The canonical structure string."""
        return f"{type(self).__name__}({','.join(map(str, self.arguments))})"

    @lazy
    def arguments(self) -> tuple[int, ...]:
        """The integers of the structure string, in order."""
        values = self.__dict__
        return tuple([values[name] for name in _argument_names(type(self))])

    @lazy
    def key(self) -> str:
        """What is remembered of blocks goes by this: the text, and which classes of a user's the block is made of.

        A name of one's own may be given to another class at any time.
        """
        numbers = _numbers_within(self)
        return f"{self.text} {numbers}" if numbers else self.text

    def __str__(self) -> str:
        return self.text

    def validate(self) -> None:
        """Raise StructureError when the arguments describe nothing that can run."""
        for name in self.argument_names():
            value = getattr(self, name)
            lower = self.lower_limit(name)
            if not isinstance(value, int) or not lower <= value <= LARGEST_INTEGER:
                raise StructureError(f"{self.text}: {name} must be a whole number from {lower} to {LARGEST_INTEGER}")

    def with_in_channels(self, channels: int) -> Self:
        """The same block reading `channels` channels."""
        if channels == self.in_channels:
            return self
        arguments = list(self.arguments)
        arguments[_place_of_in_channels(type(self))] = channels
        return interned(type(self), *arguments)

    def accepts(self, channels: int) -> bool:
        """Whether the block can read a map of `channels` channels."""
        return channels == self.in_channels

    def split(self, threshold: int) -> tuple[Block, ...]:
        """Two shallower blocks when this one has `threshold` sub-layers or more, otherwise itself."""
        del threshold
        return (self,)

    def output_size(self, size: int) -> int:
        """Height (= width) of the output map for an input map of height `size`."""
        return size

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        """What the block costs on an input map of `size` x `size`."""
        raise NotImplementedError(f"{type(self).__name__} does not define cost()")

    def figures(self, size: int, style: Style = PLAIN) -> Figures:
        """`cost` and `output_size` in one plain tuple: what a chain of blocks adds up."""
        return (*self.cost(size, style), self.output_size(size))

    def mean_field(self, style: Style = PLAIN) -> Steps:
        """What the block does to a map, for the closed-form scores; see `PlainNet.mean_field`."""
        raise NoMeanFieldRuleError(f"{type(self).__name__} has no mean-field rule")

    def module(self, style: Style = PLAIN) -> nn.Module:
        """The block as a torch module, with PyTorch's default initialisation."""
        return self.module_of_parts([part.module(style) for part in self.module_parts(style)], style)

    def module_parts(self, style: Style = PLAIN) -> tuple[Block, ...]:
        """The blocks whose modules its own is put together from; none where it makes its layers itself."""
        del style
        return ()

    def module_of_parts(self, parts: list[nn.Module], style: Style = PLAIN) -> nn.Module:
        """The module that is put together from those of `parts`, in their order."""
        raise NotImplementedError(f"{type(self).__name__} does not define module()")


@remembered(200_000)
def interned(block_class: type[BlockT], *arguments: int) -> BlockT:
    """The block with these arguments, the same object each time, so that what it has worked out is found again."""
    return made(block_class, arguments)


def made(block_class: type[BlockT], arguments: tuple[int, ...]) -> BlockT:
    """The block with these arguments: what its constructor gives, in half the time that a frozen dataclass takes."""
    names = _plain_fields(block_class)
    if len(names) != len(arguments):
        return block_class(*arguments)
    block = object.__new__(block_class)
    values = block.__dict__
    values.update(zip(names, arguments))  # noqa: B905 - as many as each other, see above
    values["arguments"] = arguments
    return block


@remembered(None)
def _plain_fields(block_class: type[Block]) -> tuple[str, ...]:
    """The fields of a class whose constructor only sets them; of any other class none."""
    return () if hasattr(block_class, "__post_init__") else _argument_names(block_class)


@remembered(None)
def _place_of_in_channels(block_class: type[Block]) -> int:
    return _argument_names(block_class).index("in_channels")


def _numbers_within(block: Block) -> str:
    """The numbers of the classes of a user's that a block, and those inside it, are of; empty where all are the package's."""
    kind = type(block)
    numbers = _number_of(kind)
    if not _holds_others(kind):
        return numbers
    values = [getattr(block, name) for name in _argument_names(kind)]
    inside = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    return " ".join(filter(None, (numbers, *(_numbers_within(one) for one in inside if isinstance(one, Block)))))


@remembered(None)
def _number_of(kind: type[Block]) -> str:
    return "" if kind.__module__.startswith(f"{__package__}.") else f"{next(_numbers)}"


@remembered(None)
def _holds_others(kind: type[Block]) -> bool:
    """Whether a class has other fields than numbers."""
    return any(field.type not in (int, "int") for field in fields(kind))  # type: ignore[arg-type]


@remembered(None)
def _argument_names(block_class: type[Block]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(block_class))  # type: ignore[arg-type]


def smart_round(x: float, base: int | None = None) -> int:
    """Round a width to a multiple of `base` (32 above 256, 16 above 128, else 8), half to even, at least `base`."""
    if base is None:
        base = 32 if x > 256 else 16 if x > 128 else 8
    return max(base, round(x / base) * base)
