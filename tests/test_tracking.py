"""Where trainings and searches are logged beside their folders, by the real libraries, without a connection."""

import csv
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gsnet.commands import evolution_search, train_image_classification
from gsnet.evolution import progress
from gsnet.interface.options import InputError
from gsnet.tracking import TrackedRun, Tracking

ROOT = Path(__file__).parent.parent
START = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)"
SEARCH = (
    "--zero_shot_score",
    "Params",
    "--origin",
    "--fix_initialize",
    "--plainnet_struct",
    START,
    "--search_space",
    "XXBL",
)
TRAINING = ("--dataset", "fake", "--fake_images", 32, "--num_classes", 10, "--batch_size", 16, "--workers", 0)
TRAINING += ("--arch", "PlainNet", "--plainnet_struct", START, "--input_image_size", 8, "--weight_init", "custom")
# Killed as a machine dies, after two steps of four.
KILLED = """
import os, signal, sys
from pathlib import Path
from gsnet.tracking import TrackedRun, Tracking

with Tracking(TrackedRun(Path(sys.argv[1]), "epoch", {"lr": 0.1}), sys.argv[2:]) as tracking:
    for step in (1, 2):
        tracking.add(step, {"val_acc1": 10.0 * step})
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """MLflow's database, which takes seconds to make; None without MLflow."""
    if find_spec("mlflow") is None:
        return None
    from mlflow.tracking import MlflowClient

    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}")
    return file


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch, empty_store):
    """No server, no news of what is used, and nothing outside the test's folder."""
    if empty_store:
        shutil.copy(empty_store, tmp_path)
    values = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    values |= {"WANDB_X_SAVE_REQUIREMENTS": "false"}
    values |= {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    for name in (
        "WANDB_DIR",
        "WANDB_PROJECT",
        "WANDB_NAME",
        "WANDB_RUN_ID",
        "MLFLOW_RUN_NAME",
        "MLFLOW_EXPERIMENT_NAME",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def installed(*names):
    for name in names:
        pytest.importorskip(name, reason=f"{name} is not installed (requirements-log.txt)")


def run(command, *arguments):
    assert command.main([str(argument) for argument in arguments]) == 0


def log_rows(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def wandb_history(folder):
    """Run id -> (step, figures) of all local files of it, in the order in which they were begun."""
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    from gsnet.tracking.wandb_file import records

    # Its service has written all when it has ended.
    wandb.teardown()
    found = {}
    for file in sorted((folder / "wandb").glob("*run-*/*.wandb")):
        steps = found.setdefault(file.stem.removeprefix("run-"), [])
        for record in map(Record.FromString, records(file.read_bytes())):
            if record.HasField("history"):
                items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                steps.append((record.history.step.num, items))
    return found


def mlflow_runs():
    """The runs of the experiment, the first begun first: status, parameters, tags, and steps and values of metrics."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("gsnet").experiment_id
    for found in client.search_runs([experiment], order_by=["attributes.start_time ASC"]):
        metrics = {
            name: [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, name)]
            for name in found.data.metrics
        }
        yield found.info, found.data.params, found.data.tags, metrics


def test_a_training_is_logged_to_all_and_goes_on_in_the_same_runs(tmp_path):
    installed("wandb", "mlflow")
    folder = tmp_path / "mine"
    arguments = (*TRAINING, "--save_dir", folder, "--lr", 0.01)
    # Begun without them: what was before comes to them too.
    run(train_image_classification, *arguments, "--epochs", 1)
    for epochs in (2, 3):
        run(train_image_classification, *arguments, "--epochs", epochs, "--auto_resume", "--log", "csv,wandb,mlflow")
    rows = log_rows(folder)
    columns = ("lr", "train_loss", "val_loss", "val_acc1", "val_acc5", "images_per_second")
    wanted = [(i + 1, {name: float(row[name]) for name in columns}) for i, row in enumerate(rows)]
    assert len(wanted) == 3
    (history,) = wandb_history(folder).values()
    assert [(step, {name: items[name] for name in columns}) for step, items in history] == wanted
    ((info, params, tags, metrics),) = mlflow_runs()
    for name in columns:
        assert metrics[name] == [(step, row[name]) for step, row in wanted]
    assert (info.run_name, info.status) == ("mine", "FINISHED")
    best = max(range(3), key=lambda i: float(rows[i]["val_acc1"]))
    assert metrics["best_acc1_at_epoch"][-1] == (3, best + 1)
    # More epochs than there were: parameters cannot change.
    assert (params["structure"], params["epochs"], tags["now.epochs"]) == (START, "2", "3")


@pytest.mark.parametrize("kind", ["wandb", "mlflow", "csv"])
def test_after_a_kill_every_step_is_there_once(tmp_path, kind):
    if kind != "csv":
        installed(kind)
    # Not to the service of this process, where a run of that name would be under way for ever.
    alone = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    command = [sys.executable, "-c", KILLED, tmp_path, kind]
    killed = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    # What was logged is known again from the results, so that a tracker is told what did not reach it.
    with Tracking(TrackedRun(tmp_path, "epoch", {"lr": 0.1}, done=2), [kind]) as tracking:
        for step in (1, 2, 3, 4):
            tracking.add(step, {"val_acc1": 10.0 * step, "late": 1.0} if step == 4 else {"val_acc1": 10.0 * step})
        tracking.finish({"best": 40.0, "structure": START})
    wanted = [(1, 10), (2, 20), (3, 30), (4, 40)]
    if kind == "csv":
        with (tmp_path / "curves.csv").open() as file:
            assert [(int(row["epoch"]), float(row["val_acc1"])) for row in csv.DictReader(file)] == wanted
    elif kind == "wandb":
        (history,) = wandb_history(tmp_path).values()
        assert [(step, items["val_acc1"]) for step, items in history] == wanted
    else:
        ((info, params, tags, metrics),) = mlflow_runs()
        assert (metrics["val_acc1"], metrics["best"], metrics["late"]) == (wanted, [(4, 40)], [(4, 1)])
        assert (info.status, params, tags["structure"]) == ("FINISHED", {"lr": "0.1"}, START)


def test_how_a_run_ended_and_a_new_one_in_the_same_folder(tmp_path):
    installed("mlflow")

    def tracked(error=None, lr=0.1, steps=1, done=0):
        with Tracking(
            TrackedRun(tmp_path, "epoch", {"lr": lr, "over (m)": None}, done), ["mlflow"], (EOFError,)
        ) as tracking:
            for step in range(steps):
                tracking.add(step + 1, {"outcomes/over budget (layers)": 1.0})
            if error:
                raise error

    with pytest.raises(ValueError, match="x"):
        tracked(ValueError("x"))
    # Nothing reached it: the same run once more, which is stopped as it may be. With another rate it is another one.
    tracked(steps=0)
    with pytest.raises(EOFError):
        tracked(EOFError())
    tracked(steps=0, lr=0.2)
    tracked(steps=0, lr=0.3)
    found = list(mlflow_runs())
    assert [info.status for info, *_ in found] == ["FAILED", "KILLED", "KILLED", "KILLED"]
    assert [params["lr"] for _, params, *_ in found] == ["0.1", "0.1", "0.2", "0.3"]
    assert found[1][3] == {"outcomes/over budget _layers_": [(1, 1.0)]}
    # Of a run that somebody has deleted, all is told to a new one.
    from mlflow.tracking import MlflowClient

    MlflowClient().delete_run(found[3][0].run_id)
    tracked(lr=0.3, steps=2, done=1)
    assert [m for *_, m in mlflow_runs()][3] == {"outcomes/over budget _layers_": [(1, 1.0), (2, 1.0)]}


def test_long_histories_are_read_over_blocks(tmp_path):
    installed("wandb")
    from gsnet.tracking.wandb_file import last_step_in

    with Tracking(TrackedRun(tmp_path, "epoch"), ["wandb"]) as tracking:
        for step in range(1, 301):
            tracking.add(step, {f"figure {i} of many": step / (i + 1) for i in range(10)})
    ((name, history),) = wandb_history(tmp_path).items()
    assert [step for step, _ in history] == list(range(1, 301))
    assert sum(file.stat().st_size for file in tmp_path.glob("wandb/*run-*/*.wandb")) > 2 * 32768
    assert last_step_in(tmp_path / "wandb", name) == 300
    # The end of what a full disk has cut.
    (file,) = tmp_path.glob("wandb/*run-*/*.wandb")
    file.write_bytes(file.read_bytes()[:40000])
    assert 20 < last_step_in(tmp_path / "wandb", name) < 300
    assert last_step_in(tmp_path / "wandb", "other") == 0


def test_a_search_is_logged_while_it_runs_and_goes_on(tmp_path, monkeypatch):
    kinds = ["csv", "tensorboard"]
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOGS", 0)
    monkeypatch.setattr(progress, "_ITERATIONS_BETWEEN_LOGS", 10)
    # With several objectives the loop is in Python, and says something every ten iterations.
    arguments = (*SEARCH, "--population_size", 8, "--max_layers", 5, "--objectives", "score,params")
    arguments += ("--save_dir", tmp_path, "--log", ",".join(kinds))
    run(evolution_search, *arguments, "--evolution_max_iter", 30)
    run(evolution_search, *arguments, "--evolution_max_iter", 60, "--resume")
    best = json.loads((tmp_path / "best.json").read_text())
    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["iteration"]) for row in rows] == [10, 20, 30, 40, 50, 60]
    scores = [float(row["score/best"]) for row in rows]
    assert scores == sorted(scores) and scores[-1] == best["score"]
    # What became of the proposals, as shares of all.
    assert sum(float(value or 0) for name, value in rows[-1].items() if name.startswith("outcomes/")) == pytest.approx(
        1
    )
    events = EventAccumulator(str(tmp_path / "curves")).Reload().Scalars("score/best")
    assert [(e.step, e.value) for e in events] == [
        (int(row["iteration"]), pytest.approx(float(row["score/best"]))) for row in rows
    ]
    # Another search in the same folder: what was is gone.
    with Tracking(TrackedRun(tmp_path, "iteration"), kinds) as tracking:
        tracking.add(15, {"score/best": 1.0})
    assert (tmp_path / "curves.csv").read_text() == "iteration,score/best\n15,1.0\n"
    assert [e.step for e in EventAccumulator(str(tmp_path / "curves")).Reload().Scalars("score/best")] == [15]


def test_a_table_that_another_program_has_changed_is_told(tmp_path):
    for text in ("iteration;score\n10;1.0\n", "iteration,score\nten,1.0\n"):
        (tmp_path / "curves.csv").write_text(text)
        with pytest.raises(InputError, match=r"^--log csv: \S+curves.csv is not as it was written: mend it"):
            Tracking(TrackedRun(tmp_path, "iteration", done=10), ["csv"]).__enter__()
        assert (tmp_path / "curves.csv").read_text() == text


def test_a_searchs_winner_is_its_summary(tmp_path):
    installed("mlflow")
    run(evolution_search, *SEARCH, "--evolution_max_iter", 30, "--save_dir", tmp_path / "found", "--log", "mlflow")
    best = json.loads((tmp_path / "found/best.json").read_text())
    ((info, params, tags, metrics),) = mlflow_runs()
    assert (info.run_name, info.status, tags["structure"]) == ("found", "FINISHED", best["structure"])
    assert params["evolution_max_iter"] == "30"
    for name in ("score", "params", "flops", "mac", "layers", "iteration"):
        assert metrics[name] == [(30, best[name])]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("wandb", "wandb needs a library that is not installed: pip install wandb"),
        ("csv,mlflow", "mlflow needs a library that is not installed: pip install mlflow"),
        ("csv,wandbb", "'wandbb' is none of csv, tensorboard, wandb, mlflow"),
        ("csv,csv", "'csv,csv' is not a list of names"),
    ],
)
def test_what_is_not_there_is_one_sentence(monkeypatch, capsys, given, said):
    for name in ("wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
    for command, arguments in ((train_image_classification, TRAINING), (evolution_search, SEARCH)):
        with pytest.raises(SystemExit, match="2"):
            command.main([*map(str, arguments), "--save_dir", "nothing", "--log", given])
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "variable", "value", "said"),
    [
        ("wandb", "WANDB_MODE", "online", "--log wandb: .*(API key|api_key)"),
        ("mlflow", "MLFLOW_TRACKING_URI", "nowhere://at/all", "--log mlflow: .*unsupported URI"),
    ],
)
def test_a_tracker_that_does_not_begin_is_one_sentence(tmp_path, monkeypatch, kind, variable, value, said):
    installed(kind)
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    if kind == "wandb":
        # It has read the environment already, if it was imported before.
        import wandb

        wandb.teardown()
    with pytest.raises(InputError, match=said) as error, Tracking(TrackedRun(tmp_path, "epoch"), [kind]):
        pass
    assert "\n" not in str(error.value)
    if kind == "wandb":
        wandb.teardown()


def test_a_log_that_fails_later_does_not_end_the_run(tmp_path, caplog):
    installed("mlflow")
    from mlflow.tracking import MlflowClient

    with Tracking(TrackedRun(tmp_path, "epoch"), ["mlflow"]) as tracking:
        tracking.add(1, {"loss": 1.0})
        # By somebody who looks at it in the meantime.
        MlflowClient().delete_run(json.loads((tmp_path / "tracking.json").read_text())["mlflow"]["run"])
        for step in (2, 3):
            tracking.add(step, {"loss": 1.0})
    assert caplog.text.count("the run goes on without this log") == 1
