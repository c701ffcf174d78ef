"""Quantities as a person reads them."""

import pytest

from gsnet.interface.words import counted, duration, first_line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4216, "0.42 s"), (47.2, "47 s"), (786, "13.1 min"), (9000, "2.5 h"), (267_840, "3.1 d")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [
        (1, ("file",), "1 file"),
        (1200, ("file",), "1,200 files"),
        (1, ("class", "classes"), "1 class"),
        (0, ("class", "classes"), "0 classes"),
    ],
)
def test_counts(number, nouns, text):
    assert counted(number, *nouns) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("\n no kernel   for it\nand a page about that"), "no kernel for it"),
        (RuntimeError("\x1b[96mThis is step 1/3\x1b[0m of three"), "This is step 1/3 of three"),
        (NotImplementedError(), "NotImplementedError"),
        (RuntimeError("\n"), "RuntimeError"),
    ],
)
def test_the_first_line_of_an_error(error, text):
    assert first_line(error) == text
