"""Every published option of the two training scripts is understood, and those without effect say what does their work."""

import shlex

import pytest
from PIL import Image

from gsnet.commands import train_image_classification, ts_train_image_classification
from gsnet.interface.options import InputError
from gsnet.training.command import precision
from gsnet.training.distillation_options import add_distillation_options
from gsnet.training.options import parse, parser
from gsnet.training.retired_options import retire_distillation
from gsnet.training.settings_of_options import data_settings, training_settings

# As published scripts write them, in the order of the published table.
PUBLISHED = shlex.split(
    "--evaluate_only --apex --apex_loss_scale dynamic --apex_opt_level O1 --fp16 --channels-last False --local_rank "
    "0 --local-rank 0 --deterministic --prof -1 --dist_mode single --independent_training --world-size 1 --rank -1 --gpu 0 "
    "--sync_bn --num_job_splits 4 --job_id 1 --fp16_allreduce --batches_per_allreduce 1 --lr 0.1 --target_lr 0 "
    "--lr_per_256 0.1 --target_lr_per_256 0.0 --lr_mode cosine --warmup 5 --epoch_offset 0 --lr_stage_list 30,60,80 "
    "--lr_stage_decay 0.1 --optimizer sgd --momentum 0.9 --adadelta_rho 0.9 --adadelta_eps 1e-9 --wd 4e-5 "
    "--weight_decay 4e-5 --resume file.pth --auto_resume --load_parameters_from file.pth --strict_load "
    "--start_epoch 0 --epochs 90 --save_dir folder --save_freq 10 --print_freq 100 --label_smoothing --weight_init "
    "custom --nesterov --grad_clip 5.0 --bn_momentum 0.01 --bn_eps 1e-3 --mixup --random_erase --auto_augment "
    "--no_data_augment --data_dir folder --dataset cifar10 --workers_per_gpu 6 --batch_size 256 "
    "--batch_size_per_gpu 64 --auto_batch_size --num_cv_folds 5 --cv_id 0 --input_image_size 224 --input_image_crop "
    "0.875 --arch resnet18 --pretrained --num_classes 10 --dataloader_testing --keep-batchnorm-fp32 True "
    "--teacher_input_image_size 320 --teacher_arch resnet50 --teacher_pretrained --ts_proj_no_relu --ts_proj_no_bn "
    "--teacher_feature_weight 1.0 --teacher_logit_weight 1.0 --teacher_load_parameters_from file.pth --ts_clip 2.0 "
    "--target_downsample_ratio 16"
)
WITHOUT_TEACHER = {word for word in PUBLISHED if word.startswith(("--teacher", "--ts_", "--target_down"))}
WITHOUT_EFFECT = {
    *("--deterministic", "--prof", "--num_job_splits", "--job_id", "--epoch_offset", "--auto_batch_size"),
    *("--num_cv_folds", "--cv_id", "--keep-batchnorm-fp32"),
}


def warned_of(caplog):
    return {record.getMessage().split(" has no effect: ")[0] for record in caplog.records}


def test_all_of_the_script_without_a_teacher(caplog):
    known = parser("")
    retire_distillation(known)
    options = parse(known, PUBLISHED)
    assert options.grad_clip == 5.0 and options.lr_stage_list == (30, 60, 80) and options.apex_loss_scale is None
    assert {*WITHOUT_TEACHER} | WITHOUT_EFFECT <= warned_of(caplog)
    assert all("ts_train" in r.getMessage() for r in caplog.records if "teacher" in r.getMessage())


def test_all_of_the_script_with_one(caplog):
    options = parser("")
    add_distillation_options(options)
    # Published weights and a checkpoint's contradict each other.
    found = parse(options, [word for word in PUBLISHED if word != "--teacher_pretrained"])
    assert found.ts_clip == 2.0 and found.teacher_input_image_size == 320 and found.ts_proj_no_bn
    assert warned_of(caplog) >= WITHOUT_EFFECT and not {*WITHOUT_TEACHER} & warned_of(caplog)


def test_a_folder_without_classes_is_named(tmp_path):
    given = ["--arch", "PlainNet", "--dataset", "image_folder", "--save_dir", str(tmp_path / "results")]
    with pytest.raises(InputError, match="name the folder whose train/ counts them with --data_dir"):
        train_image_classification.main(given)
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError, match=f"^{folder} has no train/CLASS/IMAGE"):
            train_image_classification.main([*given, "--data_dir", str(folder)])
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "0.JPG")
    with pytest.raises(
        InputError, match=r"but folders of pictures itself \(cats, dogs\): move them into .*/train, and of"
    ):
        train_image_classification.main([*given, "--data_dir", str(tmp_path)])


@pytest.mark.parametrize("script", [train_image_classification, ts_train_image_classification])
def test_a_mistyped_option_names_the_nearest(script, capsys):
    with pytest.raises(SystemExit) as end:
        script.main(["--arch", "a", "--dataset", "fake", "--save_dir", "b", "--teacher_arch", "c", "--labl_smoothing"])
    assert end.value.code == 2 and "did you mean --label_smoothing?" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["--adadelta_rho 2", "--bn_momentum -1", "--bn_momentum 3"])
def test_shares_are_shares(given, capsys):
    """torch's Adadelta stops at such a rho, and running statistics of such a momentum are none."""
    with pytest.raises(SystemExit) as end:
        parse(parser(""), ["--arch", "a", "--dataset", "fake", "--save_dir", "b", *given.split()])
    name, value = given.split()
    assert end.value.code == 2 and f"argument {name}: '{value}' is not a number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "usual", "given"),
    [("mixup", 0.2, 0.8), ("cutmix", 1.0, 0.5), ("label_smoothing", 0.1, 0.05), ("random_erase", 0.5, 0.25)],
)
def test_values_that_may_be_left_out(name, usual, given):
    """Without a value: Zhang 2018 on ImageNet, Yun 2019, Szegedy 2016 and Zhong 2020."""
    needed = ["--arch", "a", "--dataset", "fake", "--save_dir", "b"]
    for more, value in (([], 0.0), ([f"--{name}"], usual), ([f"--{name}", str(given)], given)):
        assert getattr(parse(parser(""), [*needed, *more]), name) == value


def settings_of(given):
    needed = ["--arch", "a", "--dataset", "fake", "--save_dir", "b", "--input_image_size", "8"]
    options = parse(parser(""), [*needed, *given.split()])
    data = data_settings(options)
    settings = training_settings(options, 1000, data)
    return {"data": data, "training": settings, "optimiser": settings.optimiser, "schedule": settings.schedule}


@pytest.mark.parametrize(
    ("given", "part", "name", "value"),
    [
        ("--label_smoothing 0.3", "training", "smoothing", 0.3),
        ("--mixup 0.7", "training", "mixup", 0.7),
        ("--cutmix 0.6", "training", "cutmix", 0.6),
        ("--grad_clip 4", "training", "grad_clip", 4.0),
        ("--grad_norm 3", "training", "grad_norm", 3.0),
        ("--batches_per_allreduce 2", "training", "accumulate", 2),
        ("--ema 0.9", "training", "ema", 0.9),
        ("--fp16", "training", "amp", True),
        ("--amp --amp_dtype bfloat16", "training", "amp_dtype", "bfloat16"),
        ("--fp16_allreduce", "training", "fp16_allreduce", True),
        ("--channels-last True", "training", "channels_last", True),
        ("--compile", "training", "compile", True),
        ("--save_freq 7", "training", "save_freq", 7),
        ("--print_freq 9", "training", "print_freq", 9),
        ("--patience 5", "training", "patience", 5),
        ("--time_limit 2h", "training", "time_limit", 7200.0),
        ("--keep_best 3", "training", "keep_best", 3),
        ("--seed 11", "training", "seed", 11),
        ("--optimizer adamw", "optimiser", "name", "adamw"),
        ("--momentum 0.8", "optimiser", "momentum", 0.8),
        ("--nesterov", "optimiser", "nesterov", True),
        ("--wd 0.3", "optimiser", "weight_decay", 0.3),
        ("--optimizer adadelta --adadelta_rho 0.8", "optimiser", "rho", 0.8),
        ("--optimizer adadelta --adadelta_eps 0.01", "optimiser", "eps", 0.01),
        ("--layer_decay 0.7", "optimiser", "layer_decay", 0.7),
        ("--lr 0.1 --lr_head 0.3", "optimiser", "head_scale", pytest.approx(3)),
        ("--lr_mode linear", "schedule", "mode", "linear"),
        ("--lr 0.4", "schedule", "lr", 0.4),
        ("--lr_per_256 0.2 --batch_size 128", "schedule", "lr", pytest.approx(0.1)),
        ("--target_lr 0.01", "schedule", "target_lr", 0.01),
        ("--target_lr_per_256 0.2 --batch_size 128", "schedule", "target_lr", pytest.approx(0.1)),
        ("--epochs 7", "schedule", "epochs", 7),
        ("--warmup 3", "schedule", "warmup", 3),
        ("--lr_mode stagedecay --lr_stage_list 3,6", "schedule", "stages", (3, 6)),
        ("--lr_mode stagedecay --lr_stage_list 3,6 --lr_stage_decay 0.5", "schedule", "decay", 0.5),
        ("--batch_size 24", "data", "batch_size", 24),
        ("--batch_size 12 --batches_per_allreduce 2", "data", "batch_size", 24),
        ("--workers_per_gpu 5", "data", "workers", 5),
        ("--input_image_size 40", "data", "side", 40),
        ("--input_image_crop 0.5", "data", "input_image_crop", 0.5),
        ("--seed 11", "data", "seed", 11),
        ("--no_data_augment", "data", "augment", False),
        ("--random_erase 0.4", "data", "random_erase", 0.4),
        ("--fake_images 40", "data", "fake_images", 40),
        ("--num_classes 7", "data", "fake_classes", 7),
        ("--dataloader_testing", "data", "dataloader_testing", True),
        ("--cache ram", "data", "cache", "ram"),
        ("--cache ram --cache_memory 2MB", "data", "cache_memory", 2e6),
    ],
)
def test_options_reach_what_a_training_is_made_of(given, part, name, value):
    assert getattr(settings_of("")[part], name) != value
    assert getattr(settings_of(given)[part], name) == value


def test_one_line_of_the_help_names_all_options_without_effect():
    text = parser("").format_help()
    assert text.count("--keep-batchnorm-fp32") == 1 and "Accepted and without effect" in text.split("print_freq")[-1]


@pytest.mark.parametrize(
    "given",
    [
        "--lr 1e99",
        "--wd nan",
        "--target_lr inf",
        "--bn_eps -1",
        "--momentum -0.1",
        "--mixup -1",
        "--scale 0.1 2",
        "--drop_path 1",
        "--color_jitter 1,2",
        "--bce_target_thresh 2",
    ],
)
def test_numbers_that_no_optimiser_takes(given, capsys):
    with pytest.raises(SystemExit):
        parse(parser(""), ["--arch", "a", "--dataset", "fake", "--save_dir", "b", *given.split()])
    assert f"argument {given.split()[0]}" in capsys.readouterr().err


def test_the_scale_of_a_float16_loss_is_the_one_asked_for():
    given = ["--input_image_size", "8", "--fp16", "--amp_dtype", "float16", "--apex_loss_scale", "128"]
    options = parse(parser(""), ["--arch", "a", "--dataset", "fake", "--save_dir", "b", *given])
    scaler = precision(options, training_settings(options, 256, data_settings(options)), "cpu").scaler
    assert scaler.is_enabled() and scaler.get_scale() == 128


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--fp16 --apex_loss_scale 128", "on a processor, whose half precision is bfloat16"),
        ("--apex --apex_opt_level O1 --apex_loss_scale 128", "on a processor, whose half precision is bfloat16"),
        ("--apex --apex_opt_level O0 --apex_loss_scale 128", "with --apex_opt_level O0, float32"),
        (
            "--fp16 --amp_dtype bfloat16 --apex_loss_scale 128",
            "with --amp_dtype bfloat16, which has the range of float32",
        ),
        ("--apex --apex_opt_level O0 --apex_loss_scale dynamic", None),
        ("--fp16", None),
    ],
)
def test_a_scale_of_a_loss_that_nobody_scales_is_refused(given, said):
    options = parse(
        parser(""), ["--arch", "a", "--dataset", "fake", "--save_dir", "b", "--input_image_size", "8", *given.split()]
    )
    settings = training_settings(options, 256, data_settings(options))
    if said is None:
        assert not precision(options, settings, "cpu").scaler.is_enabled()
        return
    with pytest.raises(InputError, match=f"--apex_loss_scale does nothing {said}: leave it out"):
        precision(options, settings, "cpu")
