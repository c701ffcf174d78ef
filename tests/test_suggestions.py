"""What is suggested in place of an option that a script does not have."""

import pytest

from gsnet.interface.suggestions import option_meant
from gsnet.training.options import parser as training
from ZeroShotProxy import UnknownProxyError, get_proxy

OPTIONS = [name for action in training("")._actions for name in action.option_strings]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        # timm, then Ultralytics.
        ("--smoothing", "--label_smoothing"),
        ("--opt", "--optimizer"),
        ("--model-ema", "--ema"),
        ("--torchcompile", "--compile"),
        ("--weight-decay", "--weight_decay"),
        ("--reprob", "--random_erase"),
        ("--sched", "--lr_mode"),
        ("--gradient-checkpointing", "--grad_checkpointing"),
        ("--color-jitter", "--color_jitter"),
        ("--drop-path-rate", "--drop_path"),
        ("--imgsz", "--input_image_size"),
        ("--batch", "--batch_size"),
        ("--lr0", "--lr"),
        # Mistyped.
        ("--epcohs", "--epochs"),
        ("--data-dir", "--data_dir"),
        ("--weigth_init", "--weight_init"),
        # Something else altogether.
        ("--class-map-of-things", None),
        ("--class-map", None),
        ("--fuzzy", None),
    ],
)
def test_what_is_meant(given, meant):
    assert option_meant(given, OPTIONS) == meant


def test_no_proxy_is_suggested_for_what_is_near_to_none():
    with pytest.raises(UnknownProxyError) as error:
        get_proxy("all")
    assert "did you mean" not in str(error.value)
