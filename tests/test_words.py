"""Quantities as a person reads them."""

import pytest

from gsnet.interface.words import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4216, "0.42 s"), (47.2, "47 s"), (786, "13.1 min"), (9000, "2.5 h"), (267_840, "3.1 d")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
