"""Options from a file: a TOML file of the user's, or what a results folder records, of which the same comes again."""

import json
import re
from pathlib import Path

import pytest

import gsnet
from gsnet.commands import compute_score, evolution_search, train_image_classification, val_detection
from gsnet.detection.training_options import parser as detection
from gsnet.evolution.options import parse_options, run_options, settings_from
from gsnet.evolution.report import write_config
from gsnet.interface.options import InputError
from gsnet.training.distillation_options import add_distillation_options
from gsnet.training.finished import plain
from gsnet.training.options import parser as training

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
START = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch, registries):
    monkeypatch.chdir(tmp_path)


def toml(text):
    Path("options.toml").write_text(text)
    return ["--config", "options.toml"]


def test_the_file_of_the_readme_is_searched_and_its_folder_again(tmp_path):
    config = toml(re.search(r"```toml\n(.*?)```", README, re.DOTALL)[1])
    (tmp_path / "mine.py").write_text("from ZeroShotProxy import Needs, proxy\n")
    less = ["--evolution_max_iter", "200", "--population_size", "16", "--seed", "1", "--plugin", "mine.py"]
    assert evolution_search.main([*config, *less, "--no_reslink", "--objectives", "score,params"]) == 0
    first = Path("save_dir/mine")
    recorded = json.loads((first / "config.json").read_text())
    assert recorded["settings"]["budget_model_size"] == 300_000 and recorded["settings"]["seed"] == 1
    again = tmp_path / "again"
    assert evolution_search.main(["--config", str(first / "config.json"), "--save_dir", str(again)]) == 0
    for name in ("history.csv", "best.json", "pareto.csv"):
        assert (again / name).read_bytes() == (first / name).read_bytes()
    config = json.loads((again / "config.json").read_text())
    assert (config["settings"], config["run"]) == (recorded["settings"], recorded["run"])


def test_a_search_of_a_program_is_one_that_the_script_can_do():
    options = {"space": "ghostshuffle", "proxy": "ZenClosedForm", "iterations": 40, "budgets": {"params": 1e6}}
    with gsnet.Search(START, **options, save_dir="python") as search:
        settings = settings_from(parse_options(["--config", "python", "--save_dir", "script"], ""))
        assert settings == search.result().settings


@pytest.mark.parametrize(
    "line",
    [
        "--zero_shot_score Zen --no_reslink --budget_flops 30M --max_layers 9 --workers 3 --verify_top 2 --tensorboard",
        "--zero_shot_score Ensemble --ensemble NASWOT,Flops --keep_reslink --gamma 0.02 --use_se --no_BN --seed 7",
        "--zero_shot_score TE-NAS --search_space_list a.py b.py --input_image_size 64 --num_classes 100 --batch_size 4",
        f"--zero_shot_score Params --objectives score,flops,layers --plainnet_struct {START} --origin --fix_initialize "
        "--search_space XXBL --scheduler tls://a:1 --tls_ca_file a --tls_cert b --tls_key c",
        "--zero_shot_score Params --budget_latency 0.001 --latency_source measure --latency_batch_size 8 --fp16",
    ],
)
def test_all_that_a_search_records_is_asked_for_again(line, tmp_path):
    def read(arguments):
        options = parse_options([*arguments, "--save_dir", "out"], "")
        return settings_from(options), run_options(options)

    settings, run = read(line.split())
    write_config(tmp_path, settings, run.recorded(), [])
    assert read(["--config", str(tmp_path)]) == (settings, run)


def distilling(description, argv=()):
    made = training(description, argv)
    add_distillation_options(made)
    return made


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (
            training,
            "--arch a.txt --dataset cifar10 --data_dir d --lr_stage_list 3,6 --mixup --cutmix 0.5 --channels-last True "
            "--batch_size 8 --lr 0.05 --weight_init custom --nesterov --ema 0.99 --use_se --workers 0",
        ),
        (training, "--arch a --dataset fake --target_lr_per_256 0.001 --batch_size_per_gpu 16 --apex_loss_scale 128"),
        (
            distilling,
            "--arch a --dataset fake --teacher_arch b --teacher_untrained --teacher_logit_weight 1 --ts_clip 2 --job_id 3",
        ),
        (
            detection,
            "--data_dir a --val_dir b --classes car,bus --scale 0.5 1.5 --tap_strides 4,8,16,32 --ema 0 "
            "--warmup_steps 0 --no_extra_level --arch gsmodel_l",
        ),
    ],
)
def test_all_that_a_training_records_is_asked_for_again(made, line, tmp_path):
    options = made("").parse_args([*line.split(), "--save_dir", "first", "--auto_resume"])
    (tmp_path / "config.json").write_text(json.dumps({"options": {k: plain(v) for k, v in vars(options).items()}}))
    again = ["--config", str(tmp_path), "--save_dir", "second"]
    found = made("", again).parse_args(again)
    wanted = vars(options) | {"save_dir": Path("second"), "auto_resume": False, "retired": []}
    assert {k: plain(v) for k, v in vars(found).items()} == {k: plain(v) for k, v in wanted.items()}
    with pytest.raises(SystemExit):
        made("", again[:2]).parse_args(again[:2])


def test_a_record_of_another_script_is_called_so(tmp_path):
    """Of a distillation for a training from labels alone: nobody mistyped the teacher's options."""
    line = "--arch a --dataset fake --teacher_arch b --teacher_untrained --teacher_logit_weight 1 --save_dir first"
    options = distilling("").parse_args(line.split())
    (tmp_path / "config.json").write_text(json.dumps({"options": {k: plain(v) for k, v in vars(options).items()}}))
    again = ["--config", str(tmp_path), "--save_dir", "second"]
    with pytest.raises(
        InputError, match=r"config\.json records a run of another script or version: .* has no option teacher"
    ):
        training("", again).parse_args(again)


def test_a_training_is_repeated_from_its_folder(tmp_path):
    Path("network.txt").write_text(START)
    line = (
        "--arch network.txt --dataset fake --fake_images 16 --input_image_size 16 --batch_size 8 --epochs 1 --workers 0"
    )
    assert train_image_classification.main([*line.split(), "--save_dir", "first", "--weight_init", "custom"]) == 0
    assert train_image_classification.main(["--config", "first", "--save_dir", "second"]) == 0
    first, second = (
        [row.rpartition(",")[0] for row in Path(folder, "log.csv").read_text().splitlines()]
        for folder in ("first", "second")
    )
    assert len(first) == 2 and first == second


@pytest.mark.parametrize(
    ("text", "by_hand", "wanted"),
    [
        ("lr_per_256 = 0.2", "--lr 0.3", {"lr": 0.3, "lr_per_256": 0.1}),
        ("lr = 0.2\nepochs = 3", "--lr_per_256 0.3", {"lr": None, "lr_per_256": 0.3, "epochs": 3}),
        ("batch_size = 32", "--batch_size_per_gpu 4", {"batch_size": None, "batch_size_per_gpu": 4}),
        ("weight_decay = 1e-3\nchannels-last = true", "", {"wd": 1e-3, "channels_last": True}),
        (
            "mixup = true\ncutmix = false\nlr_stage_list = [1, 2]",
            "",
            {"mixup": 0.2, "cutmix": 0.0, "lr_stage_list": (1, 2)},
        ),
        ("epochs = 3\nnesterov = true", "--epochs 4", {"epochs": 4, "nesterov": True}),
    ],
)
def test_the_command_line_counts_more(text, by_hand, wanted):
    given = [*toml(f"arch = 'a'\ndataset = 'fake'\nsave_dir = 'b'\n{text}"), *by_hand.split()]
    found = vars(training("", given).parse_args(given))
    assert {name: found[name] for name in wanted} == wanted


def test_a_file_as_editors_of_windows_write_it():
    Path("windows.toml").write_bytes(b"\xef\xbb\xbfzero_shot_score = 'Params'\r\n")
    assert parse_options(["--config", "windows.toml"], "").zero_shot_score == "Params"


def test_the_home_folder_is_found_where_no_shell_looks_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = parse_options(
        [
            *toml("zero_shot_score = 'Zen'\nfix_initialize = true\nsave_dir = '~/mine'"),
            "--plainnet_struct_txt=~/start.txt",
        ],
        "",
    )
    assert (found.save_dir, found.plainnet_struct_txt) == (tmp_path / "mine", tmp_path / "start.txt")


def test_a_device_by_hand_is_another_than_the_files():
    given = [*toml("zero_shot_score = 'Zen'\ndevice = 'cuda:3'\nno_reslink = true"), "--gpu", "0", "--keep_reslink"]
    found = parse_options(given, "")
    assert (found.gpu, found.device, found.keep_links) == (0, None, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("zero_shot_scor = 'Zen'", "options.toml: there is no option zero_shot_scor; did you mean zero_shot_score?"),
        ("qqqqq = 1", "options.toml: there is no option qqqqq: .*--help lists them"),
        ("config = 'other.toml'", "there is no option config"),
        ("repeat_times = 0", "options.toml: argument --repeat_times: '0' is not a whole number"),
        ("repeat_times = true", "options.toml: argument --repeat_times: 'True'"),
        ("use_se = 1.5", "use_se is 1.5: it is a switch, true or false"),
        ("[network]\narch = 'a'", "network is .*: |there is no option network"),
        ("arch = {a = 1}", "arch is .*: an option is a number, a text"),
        ("arch = ", "options.toml cannot be read: Invalid value"),
        ("no_reslink = true\nkeep_reslink = true", "not allowed with argument"),
        ("plugin = 'nowhere.py'", "nowhere.py does not exist"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_sentence(text, told, capsys):
    try:
        compute_score.main(toml(text))
    except InputError as error:
        said = str(error)
    except SystemExit as end:
        assert end.code == 2
        said = capsys.readouterr().err
    assert re.search(told, said), said


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("folder/x", "", "folder holds no config.json"),
        ("options.txt", "", "neither a TOML file"),
        ("config.json", "{", "config.json cannot be read"),
        ("config.json", "[1]", "records no search"),
        ("config.json", '{"options": {}}', "records no search that this script could do again"),
        ("config.json", '{"settings": {"nothing": 1}}', "of another version"),
        (
            "config.json",
            '{"settings": {"zero_shot_score": "told", "objectives": ["score"]}}',
            r"figures of a program \(told\)",
        ),
    ],
)
def test_what_is_no_record_is_one_sentence(name, content, told):
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(content)
    with pytest.raises(InputError, match=told):
        evolution_search.main(["--config", name.partition("/")[0], "--save_dir", "out"])
    with pytest.raises(InputError):
        val_detection.main(["--config", name.partition("/")[0]])


def test_a_plugin_that_says_something_else_now_is_told(tmp_path, caplog):
    Path("mine.py").write_text("")
    line = ["--zero_shot_score", "Params", "--plugin", "mine.py", "--save_dir", "out"]
    settings = settings_from(parse_options(line, ""))
    write_config(tmp_path, settings, {}, [])
    record = json.loads(Path("config.json").read_text())
    record["settings"]["plugins"] = [["mine.py", "0123456789abcdef"]]
    Path("config.json").write_text(json.dumps(record))
    parse_options(["--config", "."], "")
    assert "the plugin mine.py has other content than then" in caplog.text
