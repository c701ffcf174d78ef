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


@pytest.mark.parametrize(
    ("script", "given", "said"),
    [
        *(
            (val.main, f"--arch a --predict b.jpg {more}", f"{more.split()[0]} does nothing with --predict")
            for more in ("--fp16", "--channels_last", "--limit 3", "--workers 0", "--per_class", "--skip_broken 2")
        ),
        (val_cifar.main, "--arch a --predict b.jpg --apex", "--apex does nothing with --predict"),
        (val.main, "--arch a --untrained --weights_url http://b", "--weights_url does nothing beside --untrained"),
        (export.main, "--arch a --weights c --weights_url http://b", "--weights_url does nothing beside --weights"),
        (convert.main, "a --weights c --weights_url http://b", "--weights_url does nothing beside --weights"),
        (val.main, "--arch a --dataset imagenet --download", "--download does nothing with --dataset imagenet"),
        (run_detector, f"{SCORED} --gpu 0", "--gpu does nothing with --evaluate_results"),
        (run_detector, f"{SCORED} --limit 5", "--limit does nothing with --evaluate_results"),
        (run_detector, f"{SCORED} --classes car,bus", "--classes does nothing with --evaluate_results"),
        (run_detector, f"{RUN} --annotations c", "--annotations does nothing with --weights"),
        (run_detector, f"{RUN} --overlap 0.3", "--overlap does nothing without --tile"),
        (run_detector, f"{RUN} --draw_threshold 0.1", "--draw_threshold does nothing without --draw"),
        (run_detector, f"{RUN} --protocol visdrone --regions crowd", "--regions does nothing with --protocol visdrone"),
        (run_detector, f"{LOOK} --classes car", "--classes does nothing with --predict"),
        (run_detector, f"{LOOK} --draw 3", "--draw does nothing with --predict"),
        (run_detector, f"{LOOK} --protocol coco", "--protocol does nothing with --predict"),
        (evolution_search.main, "--report a --budget_flops 30M", "--budget_flops does nothing with --report"),
        (evolution_search.main, "--report a --seed 3", "--seed does nothing with --report"),
        (evolution_search.main, "--report a --keep_reslink", "--keep_reslink does nothing with --report"),
        (evolution_search.main, "--report a --no_reslink", "--no_reslink does nothing with --report"),
        (find, f"{SEARCH} --latency_batch_size 8", "--latency_batch_size does nothing without --budget_latency or"),
        (find, f"{SEARCH} --fp16", "--fp16 does nothing without --budget_latency or"),
        (find, f"{SEARCH} --tls_ca_file c", "--tls_ca_file does nothing without --scheduler"),
        (find, f"{SEARCH} --scheduler tcp://b:1 --workers 2", "--workers does nothing with --scheduler"),
        (find, f"{SEARCH} --resume --overwrite", "--overwrite and --resume contradict each other"),
        (find, f"{SEARCH} --plainnet_struct S", "Without --fix_initialize first candidates are random"),
        (train, f"{TRAINING} --gpu 1", "--gpu 1 does nothing with --dist_mode cpu: use --dist_mode single"),
        (train, f"{TRAINING} --gpu 1 --dist_mode ddp", "--gpu 1 does nothing with --dist_mode ddp"),
        (train, f"{TRAINING} --sync_bn", "--sync_bn does nothing in the one process of --dist_mode cpu"),
        (train, f"{TRAINING} --optimizer adam --momentum 0.8", "--momentum does nothing with --optimizer adam"),
        (train, f"{TRAINING} --adadelta_rho 0.8", "--adadelta_rho does nothing with --optimizer sgd"),
        (train, f"{TRAINING} --lr_stage_list 3,6", "--lr_stage_list does nothing with --lr_mode cosine"),
        (
            train,
            f"{TRAINING} --lr_mode stagedecay --target_lr 0.1",
            "--target_lr does nothing with --lr_mode stagedecay",
        ),
        (train, f"{TRAINING} --lr 0.1 --lr_per_256 0.2", "--lr_per_256 does nothing beside --lr"),
        (train, f"{TRAINING} --no_data_augment --auto_augment", "--auto_augment does nothing with --no_data_augment"),
        (train, f"{TRAINING} --no_data_augment --random_erase", "--random_erase does nothing with --no_data_augment"),
        (train, f"{TRAINING} --fake_images 9", "--fake_images does nothing with --dataset cifar10"),
        (train, f"{TRAINING} --apex_opt_level O2", "--apex_opt_level does nothing without --apex"),
        (train, f"{TRAINING} --apex_loss_scale 128", "--apex_loss_scale does nothing without --fp16 or --apex"),
        (train, f"{TRAINING} --batch_size 8 --batch_size_per_gpu 4", "say the same thing twice"),
        (train, f"{TRAINING} --pretrained --load_parameters_from c", "say the same thing twice"),
        (
            distil,
            f"{TEACHER} --teacher_logit_weight 1 --ts_clip 2",
            "--ts_clip does nothing without --teacher_feature_weight",
        ),
        (
            distil,
            f"{TEACHER} --teacher_feature_weight 1 --teacher_temperature 4",
            "--teacher_temperature does nothing without",
        ),
        (
            train_detector,
            f"{DETECTION} --no_auxiliary --detach_epoch 3",
            "--detach_epoch does nothing with --no_auxiliary",
        ),
        (train_detector, f"{DETECTION} --no_data_augment --mosaic 0.5", "--mosaic does nothing with --no_data_augment"),
        (
            train_detector,
            f"{DETECTION} --no_data_augment --scale 0.5 1.5",
            "--scale does nothing with --no_data_augment",
        ),
        (train_detector, f"{DETECTION} --momentum 0.8", "--momentum does nothing with --optimizer adamw"),
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
        (train, f"{TRAINING} --dist_mode single --gpu 1 --fp16 --apex_loss_scale 128 --download"),
        (train, f"{TRAINING} --lr_mode stagedecay --lr_stage_list 3,6 --optimizer adadelta --adadelta_rho 0.8"),
        (distil, f"{TEACHER} --teacher_feature_weight 1 --ts_clip 2 --teacher_logit_weight 1 --teacher_temperature 4"),
        (train_detector, f"{DETECTION} --no_data_augment --scale 0.6 1.4 --detach_epoch 3 --dist_mode single --gpu 0"),
    ],
)
def test_what_is_read_is_taken(script, given):
    script(given.split())
