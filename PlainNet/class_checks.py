"""Whether a class can be a block of the language: what a user's file most often forgets is said when it is loaded."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from PlainNet.block import Block
from PlainNet.errors import StructureError
from PlainNet.super_blocks import SuperBlock
from PlainNet.user_files import takes

_OF_A_SUPER_BLOCK = ("in_channels", "out_channels", "stride", "sub_layers")


def check_class(name: str, kind: object) -> None:
    """Raise StructureError, which says what to do, unless a class can be registered under a name."""
    if not (isinstance(kind, type) and issubclass(kind, Block)):
        raise StructureError(
            f"The block {name} must be a class with PlainNet.SuperBlock or PlainNet.Block as base, not {kind!r}"
        )
    if name != kind.__name__:
        raise StructureError(f"The block {name} is the class {kind.__name__}: register it under the name of its class")
    _check_fields(kind)
    if issubclass(kind, SuperBlock):
        _check_super_block(kind)
        return
    if kind.cost is Block.cost and kind.figures is Block.figures:
        raise StructureError(f"The block {name} must define cost(size, style), or have PlainNet.SuperBlock as base")
    if kind.module is Block.module and kind.module_of_parts is Block.module_of_parts:
        raise StructureError(f"The block {name} must define module(style), or have PlainNet.SuperBlock as base")


def _check_fields(kind: type[Block]) -> None:
    frozen = is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    annotated = [one for one in vars(kind).get("__annotations__", {}) if not one.startswith("_")]
    made: set[str] = {one.name for one in fields(kind)} if is_dataclass(kind) else set()
    constants = {one for one in annotated if "ClassVar" in str(vars(kind)["__annotations__"][one])}
    if not frozen or not {*annotated} - constants <= made:
        raise StructureError(
            f"The block {kind.__name__} must be a frozen dataclass: write @dataclass(frozen=True) above it"
        )


def _check_super_block(kind: type[SuperBlock]) -> None:
    name, given = kind.__name__, kind.argument_names()
    if missing := [one for one in _OF_A_SUPER_BLOCK if one not in given]:
        raise StructureError(
            f"The block {name} must have the fields {', '.join(_OF_A_SUPER_BLOCK)}; {missing[0]} is missing"
        )
    if given[-1] != "sub_layers":
        raise StructureError(f"The block {name} must have sub_layers as its last field, not {given[-1]}")
    if kind.layer is SuperBlock.layer or not takes(kind.layer, 5):
        raise StructureError(f"The block {name} must define layer(self, in_channels, stride, first, style)")
