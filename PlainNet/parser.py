"""From structure text to blocks, with errors that show where.

network := block*              white space and line breaks may stand between blocks
block   := Name '(' [label '|'] arguments ')'
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from PlainNet.block import LARGEST_INTEGER, Block, interned
from PlainNet.chain import first_mismatch, mismatch_reason
from PlainNet.errors import StructureError
from PlainNet.lazy import remembered

DEEPEST_NESTING = 40
_Result = TypeVar("_Result")
_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OPENING = re.compile(r"([A-Za-z_]\w*)\s*\(\s*(?:(\w+)\s*\|)?", re.ASCII)
_FLAT = re.compile(r"([A-Za-z_]\w*)\(([0-9]{1,9}(?:,[0-9]{1,9})*)\)", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DIGITS = len(str(LARGEST_INTEGER))


@remembered(100_000)
def _block_of_integers(block_class: type[Block], arguments: str) -> Block | None:
    values = [int(value) for value in arguments.split(",")]
    if block_class.read.__func__ is not Block.read.__func__ or len(values) != len(block_class.argument_names()):  # type: ignore[attr-defined]
        return None
    block = interned(block_class, *values)
    try:
        block.validate()
    except StructureError:
        return None
    return block


class Reader:
    """A cursor over structure text, of which blocks read what `PlainNet.block.Arguments` says."""

    def __init__(self, text: str, registry: Mapping[str, type[Block]]) -> None:
        self.text = text
        self.position = 0
        self.label = ""
        self._registry = registry
        self._depth = 0

    def network(self) -> tuple[Block, ...]:
        """The whole text as blocks one after the other, each sound and as wide as the one before it."""
        blocks, positions = self._blocks()
        if self.position < len(self.text):
            raise self.error("Expected a block name such as SuperResK3K3")
        if not blocks:
            raise self.error("Expected a structure such as SuperConvK3BNRELU(3,8,1,1), but the text is empty", 0)
        self._check(blocks, positions)
        return blocks

    def blocks(self) -> tuple[Block, ...]:
        """At least one block, up to the closing bracket or the semicolon that ends them."""
        label = self.label
        blocks, positions = self._blocks()
        if not blocks:
            raise self.error("Expected a block name such as ConvKX")
        self._check(blocks, positions)
        self.label = label
        return blocks

    def branches(self) -> list[tuple[Block, ...]]:
        """Branches separated by semicolons."""
        branches = [self.blocks()]
        while self._take(";"):
            branches.append(self.blocks())
        return branches

    def integers(self, block_class: type[Block]) -> list[int]:
        """Exactly the integers that a block takes, separated by commas."""
        names = block_class.argument_names()
        values: list[int] = []
        for name in names:
            if values and not self._take(","):
                raise self._wrong_count(block_class, len(values))
            if self._peek() == ")":
                raise self._wrong_count(block_class, len(values))
            values.append(self._integer(name))
        if self._peek() == ",":
            raise self._wrong_count(block_class, None)
        return values

    def leading_integers(self, at_most: int) -> list[int]:
        """Up to `at_most` integers, each followed by a comma, that may stand before blocks."""
        values: list[int] = []
        while len(values) < at_most and (self._peek().isdigit() or self._peek() in "+-"):
            values.append(self._integer("number"))
            self._expect(",", "a comma")
        return values

    def error(self, reason: str, position: int | None = None) -> StructureError:
        """A StructureError at a position, by default the present one."""
        return StructureError(reason, self.text, self.position if position is None else position)

    def _blocks(self) -> tuple[tuple[Block, ...], list[int]]:
        blocks: list[Block] = []
        positions: list[int] = []
        while self._peek() not in ("", ")", ";"):
            positions.append(self.position)
            blocks.append(self._flat_block() or self._block())
        return tuple(blocks), positions

    def _block(self) -> Block:
        start = self.position
        opening = _OPENING.match(self.text, start)
        if not opening:
            raise self._not_a_block()
        block_class = self._registry.get(opening[1])
        if block_class is None:
            raise self.error(self._unknown(opening[1]), start)
        self.position = opening.end()
        self.label = opening[2] or ""
        if self._depth == DEEPEST_NESTING:
            raise self.error(f"Blocks are nested more than {DEEPEST_NESTING} deep", start)
        self._depth += 1
        block = self._located(lambda: block_class.read(self), start)
        self._depth -= 1
        self._expect(")", "a closing bracket")
        self._located(block.validate, start)
        return block

    def _flat_block(self) -> Block | None:
        """The block at the cursor where it is as almost all are: plain integers, no label, sound. Otherwise None."""
        match = _FLAT.match(self.text, self.position)
        if not match or not (block_class := self._registry.get(match[1])):
            return None
        block = _block_of_integers(block_class, match[2])
        if block:
            self.position = match.end()
        return block

    def _check(self, blocks: tuple[Block, ...], positions: list[int]) -> None:
        if mismatch := first_mismatch(blocks):
            before, after = mismatch
            raise self.error(mismatch_reason(blocks[before], blocks[after]), positions[after])

    def _located(self, action: Callable[[], _Result], position: int) -> _Result:
        try:
            return action()
        except StructureError as error:
            raise error.at(self.text, position) from None

    def _integer(self, name: str) -> int:
        self._peek()
        match = _INTEGER.match(self.text, self.position)
        if not match:
            raise self.error(f"Expected a whole number ({name})")
        if len(match[0]) > _DIGITS:
            raise self.error(f"{name} has too many digits")
        self.position = match.end()
        return int(match[0])

    def _peek(self) -> str:
        """The next character that is not white space, or nothing at the end; the cursor moves onto it."""
        match = _SPACE.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return self.text[self.position : self.position + 1]

    def _take(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self.position += 1
        return True

    def _expect(self, character: str, meaning: str) -> None:
        if not self._take(character):
            raise self.error(f"Expected {meaning} '{character}'")

    def _not_a_block(self) -> StructureError:
        name = _NAME.match(self.text, self.position)
        if not name:
            return self.error("Expected a block name such as SuperResK3K3")
        if name[0] not in self._registry:
            return self.error(self._unknown(name[0]))
        return self.error(f"Expected an opening bracket '(' after {name[0]}", name.end())

    def _unknown(self, name: str) -> str:
        nearest = difflib.get_close_matches(name, self._registry, n=1, cutoff=0.5)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        return f"No block is called {name}{hint}"

    def _wrong_count(self, block_class: type[Block], given: int | None) -> StructureError:
        names = block_class.argument_names()
        count = f"only {given} given" if given is not None else "more are given"
        return self.error(f"{block_class.__name__} takes {len(names)} numbers ({', '.join(names)}), {count}")
