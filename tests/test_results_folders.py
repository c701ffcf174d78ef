"""What searches and trainings leave in their folders is on the pages that list it."""

import logging
import re
from pathlib import Path

import pytest

from gsnet.commands import evolution_search, train_image_classification, ts_train_image_classification
from gsnet.evolution.settings import SearchError
from gsnet.interface.options import InputError

ROOT = Path(__file__).parent.parent
START = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"
SEARCH = [
    *("--zero_shot_score", "ZenClosedForm", "--search_space", "XXBL", "--plainnet_struct", START, "--origin"),
    *("--fix_initialize", "--evolution_max_iter", "60", "--population_size", "8", "--verify_top", "1"),
]
TRAINING = [
    *("--plainnet_struct", START, "--dataset", "fake", "--fake_images", "16", "--input_image_size", "8"),
    *("--num_classes", "10", "--batch_size", "8", "--epochs", "2", "--workers", "0", "--keep_best", "2"),
]
TEACHER = ["--teacher_arch", START, "--teacher_untrained", "--teacher_logit_weight", "1"]


@pytest.fixture(autouse=True)
def no_log_of_others():
    yield
    logging.basicConfig(force=True)


def listed(page, heading):
    """The names in the first column of the first table behind a heading."""
    table = page.partition(heading)[2].partition("\n| file |")[2].partition("\n\n")[0]
    return {name.strip("/") for row in table.splitlines() for name in re.findall("`(.+?)`", row.split(" | ")[0])}


def of_pattern(name):
    """A file's name as a page has it: epochs and the script by a letter."""
    name = re.sub(r"_epoch\d+\.pth$", "_epochN.pth", name.removesuffix(".backup"))
    return re.sub(r"^(ts_)?train_image_classification\.", "NAME.", name)


def test_files_of_a_search(tmp_path):
    assert evolution_search.main([*SEARCH, "--save_dir", str(tmp_path), "--log", "csv,tensorboard"]) == 0
    names = listed((ROOT / "docs/history.md").read_text(), "# What a search records")
    left = {file.name for file in tmp_path.iterdir()}
    assert left - {"search.db-wal", "search.db-shm"} <= names
    assert "verified.csv" in left and names - left == {
        *("proposals.bin", "networks.bin", "wandb", "tracking.json", "analyze_model.txt", "latency.txt")
    }


@pytest.mark.parametrize(
    ("script", "more"), [(train_image_classification, []), (ts_train_image_classification, TEACHER)]
)
def test_files_of_a_training(tmp_path, script, more):
    assert script.main([*TRAINING, *more, "--save_dir", str(tmp_path)]) == 0
    names = listed((ROOT / "docs/training.md").read_text(), "## What the results folder holds")
    left = {of_pattern(file.name) for file in tmp_path.iterdir()}
    assert "best-params_epochN.pth" in left and left <= {name.split("/")[0] for name in names}


def test_a_search_and_a_training_do_not_write_over_each_other(tmp_path):
    """Both record their options as config.json."""
    search, training = tmp_path / "search", tmp_path / "training"
    assert evolution_search.main([*SEARCH, "--save_dir", str(search)]) == 0
    assert train_image_classification.main([*TRAINING, "--save_dir", str(training)]) == 0
    records = [(folder / "config.json").read_bytes() for folder in (search, training)]
    with pytest.raises(InputError, match=r"holds a search: name another --save_dir, such as .*search/training"):
        train_image_classification.main([*TRAINING, "--save_dir", str(search)])
    for more in ([], ["--overwrite"]):
        with pytest.raises(SearchError, match="holds a training: name another --save_dir"):
            evolution_search.main([*SEARCH, "--save_dir", str(training), *more])
    assert [(folder / "config.json").read_bytes() for folder in (search, training)] == records
    # What is there of its own kind is gone on with.
    assert train_image_classification.main([*TRAINING, "--save_dir", str(training)]) == 0
