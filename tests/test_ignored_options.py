"""Options that a way of using a script would not read are refused; a default that is repeated is let pass."""

import re

import pytest

from gsnet.commands import convert, evolution_search, export, val, val_cifar
from gsnet.detection import training_options as detection
from gsnet.detection import validation_command
from gsnet.evolution import options as search
from gsnet.interface.options import InputError
from gsnet.training.distillation_options import add_distillation_options
from gsnet.training.ignored_options import refuse_ignored, refuse_ignored_by_teacher
from gsnet.training.options import parse, parser

TRAINING = "--arch a --dataset cifar10 --save_dir b"
TEACHER = f"{TRAINING} --teacher_arch c --teacher_untrained"
DETECTION = "--data_dir a --save_dir b"
SEARCH = "--zero_shot_score Params --save_dir a --search_space XXBL"
SCORED = "--evaluate_results a --annotations b --images c"
RUN = "--weights a.pth --data_dir b"
LOOK = "--weights a.pth --predict b.jpg --save_dir c"


def train(argv):
    described = parser("")
    options = parse(described, argv)
    refuse_ignored(described, options)


def distil(argv):
    described = parser("")
    add_distillation_options(described)
    options = parse(described, argv)
    refuse_ignored(described, options)
    refuse_ignored_by_teacher(described, options)


def train_detector(argv):
    detection.parse("", argv)


def run_detector(argv):
    validation_command.parse("", argv)


def find(argv):
    search.parse_options(argv, "")


def nothing(script, given, how, *options):
    """A case for each of the options that a way of using a script does not read."""
    return [(script, f"{given} {option}", f"{option.split()[0]} does nothing {how}") for option in options]


@pytest.mark.parametrize(
    ("script", "given", "said"),
    [
        *nothing(
            *(val.main, "--arch a --predict b.jpg", "with --predict"),
            *("--fp16", "--channels_last", "--limit 3", "--workers 0", "--per_class", "--skip_broken 2"),
        ),
        *nothing(val_cifar.main, "--arch a --predict b.jpg", "with --predict", "--apex"),
        *nothing(
            val.main, "--arch a --untrained --dataset fake", "with --dataset fake, which is noise", "--data_dir b"
        ),
        *nothing(val.main, "--arch a --untrained", "beside --untrained", "--weights_url http://b"),
        *nothing(export.main, "--arch a --weights c", "beside --weights", "--weights_url http://b"),
        *nothing(export.main, "--arch a --format ncnn", "with --format ncnn, whose graphs", "--no_fuse"),
        *nothing(convert.main, "a --weights c", "beside --weights", "--weights_url http://b"),
        *nothing(val.main, "--arch a --dataset imagenet", "with --dataset imagenet", "--download"),
        *nothing(run_detector, SCORED, "with --evaluate_results", "--gpu 0", "--limit 5", "--classes car,bus"),
        *nothing(run_detector, RUN, "with --weights", "--annotations c"),
        *nothing(run_detector, f"{RUN} --tile 0", "with --tile 0", "--overlap 0.3"),
        *nothing(run_detector, RUN, "without --draw", "--draw_threshold 0.1"),
        *nothing(run_detector, f"{RUN} --protocol visdrone", "with --protocol visdrone", "--regions crowd"),
        *nothing(run_detector, LOOK, "with --predict", "--draw 3", "--protocol coco"),
        *nothing(run_detector, f"{LOOK} --save_as geojson", "with --save_as geojson", "--frames 3", "--skip_broken 1"),
        *nothing(
            *(evolution_search.main, "--report a", "with --report"),
            *("--budget_flops 30M", "--seed 3", "--keep_reslink", "--no_reslink"),
        ),
        *nothing(find, SEARCH, "without --budget_latency or", "--latency_batch_size 8", "--fp16"),
        *nothing(find, SEARCH, "without --scheduler", "--tls_ca_file c", "--tls_cert c", "--tls_key c"),
        *nothing(find, f"{SEARCH} --scheduler tcp://b:1", "with --scheduler", "--workers 2"),
        (find, f"{SEARCH} --resume --overwrite", "--overwrite and --resume contradict each other"),
        (find, f"{SEARCH} --plainnet_struct S", "Without --fix_initialize first candidates are random"),
        (train, f"{TRAINING} --gpu 1", "--gpu 1 does nothing with --dist_mode cpu: use --dist_mode single"),
        (train, f"{TRAINING} --gpu 1 --dist_mode ddp", "--gpu 1 does nothing with --dist_mode ddp"),
        *nothing(train, TRAINING, "in the one process of --dist_mode cpu", "--sync_bn"),
        *nothing(train, f"{TRAINING} --optimizer adam", "with --optimizer adam", "--momentum 0.8"),
        *nothing(train, TRAINING, "with --optimizer sgd", "--adadelta_rho 0.8"),
        *nothing(train, TRAINING, "with --lr_mode cosine", "--lr_stage_list 3,6"),
        *nothing(train, f"{TRAINING} --lr_mode stagedecay", "with --lr_mode stagedecay", "--target_lr 0.1"),
        *nothing(train, f"{TRAINING} --lr 0.1", "beside --lr", "--lr_per_256 0.2"),
        *nothing(
            *(train, f"{TRAINING} --no_data_augment", "with --no_data_augment"),
            *(
                "--auto_augment",
                "--random_erase",
                "--color_jitter 0.4",
                "--lighting 0",
                "--scale 0.2 1",
                "--aug_repeats 3",
            ),
        ),
        *nothing(train, f"{TRAINING} --optimizer lamb", "with --optimizer lamb", "--nesterov", "--momentum 0.8"),
        *nothing(train, TRAINING, "without --bce_loss", "--bce_target_thresh 0.2"),
        *nothing(train, TRAINING, "with --dataset cifar10", "--fake_images 9"),
        *nothing(train, TRAINING.replace("cifar10", "fake"), "with --dataset fake, which is noise", "--data_dir c"),
        *nothing(train, TRAINING, "with --dataset cifar10, whose images are", "--input_image_crop 0.5"),
        *nothing(train, TRAINING, "without --apex", "--apex_opt_level O2"),
        *nothing(train, TRAINING, "without --fp16 or --apex", "--apex_loss_scale 128"),
        *nothing(train, TRAINING, "without --fp16", "--amp_dtype bfloat16"),
        *nothing(train_detector, DETECTION, "without --fp16", "--amp_dtype float16"),
        (
            *(train, f"{TRAINING} --apex --fp16 --amp_dtype bfloat16"),
            "does nothing with NVIDIA Apex, whose levels are of float16: leave it out, or use --fp16 in place of it",
        ),
        (train, f"{TRAINING} --dist_mode apex --fp16 --amp_dtype float16", "or use --dist_mode ddp in place of it"),
        (train, f"{TRAINING} --batch_size 8 --batch_size_per_gpu 4", "say the same thing twice"),
        (train, f"{TRAINING} --pretrained --load_parameters_from c", "say the same thing twice"),
        *nothing(distil, f"{TEACHER} --teacher_logit_weight 1", "without --teacher_feature_weight", "--ts_clip 2"),
        *nothing(distil, f"{TEACHER} --teacher_feature_weight 1", "without", "--teacher_temperature 4"),
        *nothing(train_detector, f"{DETECTION} --no_auxiliary", "with --no_auxiliary", "--detach_epoch 3"),
        *nothing(
            *(train_detector, f"{DETECTION} --no_data_augment", "with --no_data_augment"),
            *("--mosaic 0.5", "--scale 0.5 1.5"),
        ),
        *nothing(train_detector, DETECTION, "with --optimizer adamw", "--momentum 0.8"),
        *nothing(train_detector, DETECTION, "without --train_tile", "--tile_objects 0.5", "--tile_whole 0"),
        *nothing(train_detector, DETECTION, "without --cache", "--cache_memory 1GiB"),
        (train_detector, f"{DETECTION} --gpu 0", "use --dist_mode single"),
    ],
)
def test_what_nobody_would_read_is_refused(script, given, said):
    with pytest.raises(InputError, match=re.escape(said)):
        script(given.split())


@pytest.mark.parametrize(
    ("script", "given"),
    [
        (run_detector, f"{SCORED} --protocol coco --regions crowd --json"),
        (run_detector, f"{RUN} --tile 64 --overlap 0.3 --draw 2 --draw_threshold 0.1 --limit 3"),
        (run_detector, f"{LOOK} --draw_threshold 0.1 --protocol both --skip_broken 2"),
        (find, "--report a --json --plugin json"),
        (find, f"{SEARCH} --objectives score,latency --latency_batch_size 8 --fp16"),
        (find, f"{SEARCH} --budget_latency 1ms --latency_resolution 64"),
        (find, f"{SEARCH} --workers 1 --scheduler tls://b:1 --tls_ca_file c --tls_cert d --tls_key e"),
        (
            train,
            f"{TRAINING} --momentum 0.9 --optimizer adam --lr_stage_decay 0.1 --fake_images 256 --apex_opt_level O1",
        ),
        (train, f"{TRAINING.replace('cifar10', 'imagenet')} --input_image_crop 0.5"),
        (train, f"{TRAINING} --dist_mode single --gpu 1 --fp16 --apex_loss_scale 128 --download"),
        (
            train,
            f"{TRAINING} --optimizer muon --nesterov --momentum 0.95 --bce_loss --bce_target_thresh 0.2 --nesterov",
        ),
        (train, f"{TRAINING} --no_data_augment --auto_augment none --random_erase 0 --optimizer lion --nesterov False"),
        (train, f"{TRAINING} --lr_mode stagedecay --lr_stage_list 3,6 --optimizer adadelta --adadelta_rho 0.8"),
        (distil, f"{TEACHER} --teacher_feature_weight 1 --ts_clip 2 --teacher_logit_weight 1 --teacher_temperature 4"),
        (train_detector, f"{DETECTION} --no_data_augment --scale 0.6 1.4 --detach_epoch 3 --dist_mode single --gpu 0"),
    ],
)
def test_what_is_read_is_taken(script, given):
    script(given.split())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "the teacher teaches nothing"),
        (
            " --teacher_feature_weight 1 --teacher_logit_weight 1 --teacher_cache c",
            "--teacher_cache keeps logits alone",
        ),
    ],
)
def test_what_no_teacher_can_do_is_told_by_the_options_alone(more, told):
    """Not after all images were read into memory."""
    with pytest.raises(InputError, match=told):
        distil(f"{TEACHER}{more}".split())
