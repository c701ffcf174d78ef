"""Command-line options of distillation, by their published names."""

from __future__ import annotations

from gsnet.interface.options import OptionParser, not_negative_single, positive_float, positive_int
from gsnet.interface.path_options import path, structure


def add_distillation_options(parser: OptionParser) -> None:
    """Add the teacher, and how its word counts."""
    parser.alternatives.append(("teacher_plainnet_struct", "teacher_plainnet_struct_txt"))
    group = parser.add_argument_group("teacher")
    group.add_argument(
        "--teacher_arch",
        metavar="NAME",
        help="any network that --arch takes (default: what the file of --teacher_load_parameters_from says it is)",
    )
    weights = group.add_mutually_exclusive_group(required=True)
    weights.add_argument("--teacher_pretrained", action="store_true", help="with published weights")
    weights.add_argument(
        "--teacher_load_parameters_from", type=path, metavar="FILE", help="with a checkpoint's weights"
    )
    weights.add_argument("--teacher_untrained", action="store_true", help="with random weights, for a dry run")
    group.add_argument(
        "--teacher_input_image_size",
        type=positive_int,
        metavar="PIXELS",
        help="side that it sees (default: its own, else student's)",
    )
    group.add_argument("--teacher_num_classes", type=positive_int, metavar="N", help="width of its logits")
    group.add_argument(
        "--teacher_plainnet_struct", type=structure, metavar="TEXT", help="structure of a teacher by class"
    )
    group.add_argument("--teacher_plainnet_struct_txt", type=path, metavar="FILE", help="the same, in a file")
    group.add_argument("--teacher_use_se", action="store_true", help="a teacher with squeeze-and-excitation")
    group = parser.add_argument_group("distillation")
    group.add_argument("--teacher_feature_weight", type=not_negative_single, default=0.0, metavar="X", help="its maps")
    group.add_argument("--teacher_logit_weight", type=not_negative_single, default=0.0, metavar="X", help="its logits")
    group.add_argument(
        "--teacher_temperature", type=positive_float, default=1.0, metavar="X", help="softens both networks' logits"
    )
    group.add_argument(
        "--target_downsample_ratio", type=positive_int, default=16, metavar="N", help="smallest ratio of compared maps"
    )
    group.add_argument("--ts_proj_no_bn", action="store_true", help="projections without batch normalisation")
    group.add_argument("--ts_proj_no_relu", action="store_true", help="projections without ReLU")
    group.add_argument("--ts_clip", type=positive_float, metavar="X", help="bound of the teacher's maps")
    group.add_argument(
        "--teacher_cache", type=path, metavar="FOLDER", help="keep its logits for other students of the same images"
    )
