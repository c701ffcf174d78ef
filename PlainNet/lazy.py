"""Values that are worked out once: a property that then is a plain attribute, and remembered results of functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

Value = TypeVar("Value")
Parameters = ParamSpec("Parameters")


def remembered(size: int | None) -> Callable[[Callable[Parameters, Value]], Callable[Parameters, Value]]:
    """`functools.lru_cache` with the signature kept, because type checkers take classes for unhashable arguments."""
    return cast(Any, lru_cache(maxsize=size))


class lazy(Generic[Value]):
    """`functools.cached_property` without its lock, which costs more than most of what is cached here."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> lazy[Value]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: object | None, owner: type) -> lazy[Value] | Value:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value
