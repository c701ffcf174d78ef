"""The one error of the structure-string language."""

from __future__ import annotations

_CONTEXT = 30


class StructureError(ValueError):
    """A structure that is malformed or cannot run.

    `reason` is the sentence; `text` and `position` (0-based) say where, when the structure came from text. The message
    shows the surrounding text with a caret below the position.
    """

    def __init__(self, reason: str, text: str | None = None, position: int | None = None) -> None:
        self.reason = reason
        self.text = text
        self.position = position
        super().__init__(self._message())

    def __reduce__(self) -> tuple:
        return type(self), (self.reason, self.text, self.position)

    def at(self, text: str, position: int) -> StructureError:
        """The same error, located in `text`, unless it is located already."""
        return self if self.position is not None else type(self)(self.reason, text, position)

    def _message(self) -> str:
        if self.text is None or self.position is None:
            return self.reason
        start = max(0, self.position - _CONTEXT)
        excerpt = "".join(c if c.isprintable() else " " for c in self.text[start : self.position + _CONTEXT])
        lead = "..." if start else ""
        tail = "..." if self.position + _CONTEXT < len(self.text) else ""
        caret = " " * (len(lead) + self.position - start) + "^"
        return f"{self.reason} (position {self.position})\n  {lead}{excerpt}{tail}\n  {caret}"


class NoMeanFieldRuleError(StructureError):
    """A block that the closed form cannot describe; the message names it."""
