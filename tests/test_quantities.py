"""Numbers with and without units, as options and budgets take them."""

import argparse
import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsnet.api.callables import split_budgets
from gsnet.detection.training_options import strides
from gsnet.interface.options import (
    InputError,
    count,
    not_negative,
    not_negative_single,
    positive_float,
    positive_int,
    positive_single,
    seconds,
    seed,
    share,
    single,
)
from gsnet.training.options import loss_scale, stage_list

PARSERS = [
    *(positive_int, not_negative, seed, positive_float, count, seconds, single, positive_single, not_negative_single),
    *(share, stage_list, loss_scale, strides),
]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (positive_int, "480k", 480_000),
        (positive_int, "480000", 480_000),
        (positive_int, "1e6", 1_000_000),
        (positive_int, "1.5M", 1_500_000),
        (positive_int, "2Ki", 2_048),
        (not_negative, "0", 0),
        (count, "1M", 1e6),
        (count, "30 M", 3e7),
        (count, "0.4G", 4e8),
        (count, "1.5e6", 1.5e6),
        (count, "1Mi", 1_048_576.0),
        # A number without unit is what it was.
        (count, "0.1", 0.1),
        (seconds, "0.8e-3", 0.8e-3),
        (seconds, "1ms", 1e-3),
        (seconds, "0.1ms", 1e-4),
        (seconds, "250us", 250e-6),
        (seconds, "250µs", 250e-6),
        (seconds, "250μs", 250e-6),
        (seconds, "2s", 2.0),
        (seed, "-7", -7),
    ],
)
def test_values(parse, text, value):
    found = parse(text)
    assert found == value and type(found) is type(value)


@given(st.decimals(min_value="1e-6", max_value="1e9", places=6), st.sampled_from("kMGT"))
def test_a_unit_is_its_power_of_ten(number, unit):
    exponent = {"k": 3, "M": 6, "G": 9, "T": 12}[unit]
    assert count(f"{number}{unit}") == float(Fraction(number) * 10**exponent) == count(f"{number}e{exponent}")
    assert seconds(f"{number}ms") == float(Fraction(number) / 1000) == seconds(f"{number}e-3")


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "inf",
            "-inf",
            "nan",
            "1e400",
            "-1e400",
            "1e999999999",
            "9" * 400,
            "9" * 5000,
            "1_000",
            "1,000,x",
            "0x10",
        ),
        *("m", "30m", "30g", "1e", "--", "1 2", "٣", "²", "1MB", "640KiB", "1j"),
    ],
)
def test_what_is_no_number_is_one_sentence(parse, text):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        parse(text)
    assert "\n" not in str(error.value)


@given(st.text(max_size=12) | st.from_regex(r"[0-9.,eEkM_+-]{1,9}", fullmatch=True))
def test_no_text_is_a_traceback(text):
    for parse in PARSERS:
        with contextlib.suppress(argparse.ArgumentTypeError):
            parse(text)


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (count, "30m", "M is a million"),
        (count, "1h", "there is no unit h here, only k, K, M, G, T, Ki, Mi, Gi, Ti"),
        (seconds, "1M", "there is no unit M here, only s, ms, us, ns"),
        (count, "many", "such as 30e6, 30M or 0.4G"),
        (seconds, "soon", "such as 0.001, 1ms or 250us"),
        (positive_int, "few", "such as 12, 480k or 1e6"),
        (positive_int, "1e30", "the largest whole number here"),
    ],
)
def test_sentences_say_what_to_write(parse, text, said):
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        parse(text)


def test_budgets_of_a_program():
    limits, _, _ = split_budgets({"params": "1M", "flops": "0.4G", "latency": "250us", "layers": "18", "mac": 2e6})
    known = {"budget_model_size": 1e6, "budget_flops": 4e8, "budget_latency": 250e-6, "max_layers": 18}
    assert limits == known | {"budget_mac": 2e6}
    with pytest.raises(InputError, match=r"The budget params: '1m' is not"):
        split_budgets({"params": "1m"})
