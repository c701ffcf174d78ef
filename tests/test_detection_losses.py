"""Priors, assignment, losses and suppression: the golden values of an independent implementation, and awkward inputs."""

import math

import pytest
import torch

from gsnet.detection.assignment import AssignmentSettings, assign, costs, inside, matched, nearby
from gsnet.detection.losses import Losses, distribution_focal_loss, head_loss, quality_focal_loss
from gsnet.detection.overlap import areas, generalised_iou, iof_matrix, iou, iou_matrix
from gsnet.detection.postprocess import PostprocessSettings, suppressed
from gsnet.detection.priors import clipped, decode, distances, encode, priors
from gsnet.detection.targets import Detections, Targets
from gsnet.interface.options import InputError
from tests.detection_golden import GOLDEN, hashed


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def close(found, expected, tolerance=1e-8):
    torch.testing.assert_close(found.double(), tensor(expected), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", GOLDEN["priors"]["cases"])
def test_priors(size):
    height, width = (int(side) for side in size.split("x"))
    levels = GOLDEN["priors"]["cases"][size]
    strides = [level["stride"] for level in levels]
    found = priors(height, width, strides).split([level["count"] for level in levels])
    for level, expected in zip(found, levels, strict=True):
        assert level[0].tolist() == expected["first"]
        assert level[-1].tolist() == expected["last"]
        assert expected["second"] is None or level[1].tolist() == expected["second"]


def test_decode_and_encode():
    golden = GOLDEN["decode"]
    bins, where = tensor(golden["reg_logits"]), tensor(golden["priors_cx_cy_stride_stride"])
    close(distances(bins), golden["distance_in_strides"])
    close(decode(bins, where), golden["boxes"])
    close(clipped(decode(bins, where), 96, 128), golden["boxes_clipped_hw_96_128"])
    golden = golden["encode"]
    points = tensor(golden["points"])
    where = torch.cat((points, torch.full_like(points, golden["stride"])), dim=1)
    # The golden targets were taken in float32.
    close(encode(tensor(golden["boxes"]), where), golden["target"], 1e-7)


def test_quality_focal_loss():
    golden = GOLDEN["losses"]["qfl"]
    logits = tensor(golden["logits"]).requires_grad_()
    wanted = torch.zeros_like(logits)
    for row, (label, quality) in enumerate(zip(golden["labels"], golden["quality"], strict=True)):
        if label < wanted.shape[1]:
            wanted[row, label] = quality
    each = quality_focal_loss(logits, wanted)
    close(each.detach(), golden["per_sample"])
    (each.sum() / 3).backward()
    close((each.sum() / 3).detach(), golden["sum_over_avg_factor_3"])
    close(logits.grad, golden["grad_wrt_logits_avg3"])
    weighted = golden["weighted"]
    close((each.detach() * tensor(weighted["weight"])).sum() / weighted["avg_factor"], weighted["value"])


def test_distribution_focal_loss():
    golden = GOLDEN["losses"]["dfl"]
    each = distribution_focal_loss(tensor(golden["logits"]), tensor(golden["target"]))
    close(each, golden["per_sample_unweighted"])
    weighted = golden["weighted"]
    total = (each * tensor(weighted["weight"])).sum() / weighted["avg_factor"] * golden["loss_weight"]
    close(total, weighted["value_with_loss_weight"])


def test_a_target_at_the_last_bin_has_a_loss():
    assert distribution_focal_loss(torch.zeros(1, 8), torch.tensor([7.0])).item() == pytest.approx(math.log(8))


def test_overlaps():
    golden = GOLDEN["losses"]["giou"]
    first, second = tensor(golden["pred"]), tensor(golden["target"])
    close(iou(first, second), golden["iou"])
    close(generalised_iou(first, second), golden["giou"])
    weighted = golden["weighted"]
    total = ((1 - generalised_iou(first, second)) * tensor(weighted["weight"])).sum()
    close(golden["loss_weight"] * total / weighted["avg_factor"], weighted["value"])
    golden = GOLDEN["losses"]["iof"]
    close(iof_matrix(tensor(golden["boxes"]), tensor(golden["regions"])), golden["matrix"])


def test_boxes_of_hardly_any_area_and_of_none():
    """A hundredth of a pixel each side; and one whose right side is left of its left one."""
    small, turned, whole = (torch.tensor([box]) for box in ([0, 0, 0.01, 0.01], [2.0, 0, 0, 2], [0.0, 0, 2, 2]))
    for overlap in (iou, generalised_iou, iof_matrix):
        assert overlap(small, small).item() == pytest.approx(1)
    assert areas(torch.cat([small, turned, whole])).tolist() == pytest.approx([1e-4, 0, 4])
    assert iou(turned, whole).item() == iof_matrix(turned, whole).item() == 0
    # Neither fills anything, and there is nothing around both.
    assert generalised_iou(turned, turned).item() == 0


@pytest.mark.parametrize("case", GOLDEN["dsla"]["cases"], ids=lambda case: case["name"])
def test_assignment(case):
    targets = Targets(tensor(case["gt_boxes"]).reshape(-1, 4), torch.tensor(case["gt_labels"], dtype=torch.int64))
    where, boxes, logits = tensor(case["priors"]), tensor(case["decoded_boxes"]), tensor(case["cls_logits"])
    settings = AssignmentSettings(top=case["topk"], iou_weight=case["iou_factor"])
    found = assign(where, boxes, logits, targets, settings)
    assert found.objects.tolist() == case["assigned_gt"]
    close(found.quality, [value or 0.0 for value in case["matched_iou"]])
    assert found.weights.tolist() == [1.0] * len(where)
    if "cost" in case:
        valid = torch.tensor(case["valid_prior_mask"], dtype=torch.bool)
        overlaps = iou_matrix(boxes[valid], targets.boxes)
        close(overlaps, case["iou_valid_x_gt"])
        close(costs(logits[valid], targets.labels, overlaps, 0.0), case["cls_cost"])
        close(costs(logits[valid], targets.labels, overlaps, settings.iou_weight), case["cost"])


def golden_batch(part):
    golden = GOLDEN["head_loss"]
    values = 4 * (hashed((2, 85, 35), golden[part]["off"]) - 0.5)
    values[..., :3] += golden[part]["shift"]
    boxes = [tensor(b).reshape(-1, 4) for b in golden["gt_boxes"]]
    targets = [
        Targets(b, torch.tensor(labels, dtype=torch.int64))
        for b, labels in zip(boxes, golden["gt_labels"], strict=True)
    ]
    return values.requires_grad_(), targets


def assigned(predictions, targets, where):
    return [
        assign(where, decode(p[:, 3:], where), p[:, :3], t) for p, t in zip(predictions.detach(), targets, strict=True)
    ]


@pytest.mark.parametrize(("case", "by"), [("self_assign", "main"), ("aux_assign", "aux")])
def test_loss_of_a_head(case, by):
    golden = GOLDEN["head_loss"][case]
    where = priors(64, 64, (8, 16, 32, 64), dtype=torch.float64)
    main, targets = golden_batch("main")
    chosen = assigned(golden_batch(by)[0], targets, where)
    assert chosen[0].objects.tolist() == golden["assigned_gt_image0"]
    losses = head_loss(main, where, chosen, targets, 3)
    close(torch.stack(losses).detach(), [golden[f"loss_{part}"] for part in ("qfl", "bbox", "dfl")])
    total = losses.total()
    if by == "aux":
        auxiliary = head_loss(golden_batch("aux")[0], where, chosen, targets, 3)
        close(torch.stack(auxiliary).detach(), [golden[f"aux_loss_{part}"] for part in ("qfl", "bbox", "dfl")])
        total = total + auxiliary.total()
    close(total.detach(), golden["total"])
    losses.total().backward()
    assert main.grad.isfinite().all()


def test_a_batch_without_objects_trains_on_background_alone():
    where = priors(64, 64, (8, 16, 32, 64))
    predictions = torch.randn(2, len(where), 35, requires_grad=True)
    empty = [Targets(), Targets()]
    losses = head_loss(predictions, where, assigned(predictions, empty, where), empty, 3)
    assert losses.quality_focal > 0
    assert losses.generalised_iou == losses.distribution_focal == 0
    Losses.total(losses).backward()
    assert predictions.grad.isfinite().all()


def test_ignored_regions_take_background_out_of_the_loss():
    where = priors(64, 64, (8, 16, 32, 64))
    predictions = torch.randn(1, len(where), 35)
    boxes = decode(predictions[0, :, 3:], where)
    plain = Targets(torch.tensor([[4.0, 4.0, 30.0, 30.0]]), torch.tensor([1]))
    ignoring = Targets(plain.boxes, plain.labels, torch.tensor([[20.0, 0.0, 64.0, 64.0]]))
    before = assign(where, boxes, predictions[0, :, :3], plain)
    after = assign(where, boxes, predictions[0, :, :3], ignoring)
    assert torch.equal(before.objects, after.objects)
    assert after.weights[after.positive].eq(1).all()
    left_out = after.weights == 0
    assert left_out.any() and not left_out.all()
    # By its centre: a prior inside; by its box: one whose box lies more than half in the region.
    inside = (where[:, 0] > 20) & (where[:, 1] > 0)
    covered = iof_matrix(boxes, ignoring.ignored)[:, 0] > 0.5
    assert torch.equal(left_out, (inside | covered) & ~after.positive)
    losses = [head_loss(predictions, where, [a], [t], 3) for a, t in ((before, plain), (after, ignoring))]
    assert losses[1].quality_focal < losses[0].quality_focal


def test_tiny_objects_get_a_prior_near_them_instead_of_one_in_another_object():
    case = next(c for c in GOLDEN["dsla"]["cases"] if c["name"] == "tiny_gt_without_prior_inside")
    targets = Targets(tensor(case["gt_boxes"]), torch.tensor(case["gt_labels"]))
    where, boxes, logits = tensor(case["priors"]), tensor(case["decoded_boxes"]), tensor(case["cls_logits"])
    found = assign(where, boxes, logits, targets, AssignmentSettings(tiny_radius=1.0))
    place = (found.objects == 1).nonzero()[:, 0]
    # The tiny box is centred at (20, 20): (16, 16) and the others around it are as near.
    assert len(place) == 1
    assert (where[place, :2] - 20).norm() <= 8
    alone = Targets(tensor([[18.0, 18.0, 22.0, 22.0]]), torch.tensor([1]))
    assert assign(where, boxes, logits, alone).positive.sum() == 0
    assert assign(where, boxes, logits, alone, AssignmentSettings(tiny_radius=1.0)).positive.sum() == 1


def test_an_object_that_holds_priors_has_the_same_ones_with_a_radius_for_tiny_ones():
    where = priors(64, 64, (8, 16, 32, 64), dtype=torch.float64)
    main, targets = golden_batch("main")
    boxes, logits = decode(main.detach()[0, :, 3:], where), main.detach()[0, :, :3]
    large = Targets(tensor([[4.0, 4.0, 60.0, 60.0]]), targets[0].labels[:1])
    usual = assign(where, boxes, logits, large)
    assert usual.positive.sum() > 1
    assert torch.equal(assign(where, boxes, logits, large, AssignmentSettings(tiny_radius=1.0)).objects, usual.objects)


def test_with_a_radius_priors_of_other_objects_neither_count_nor_are_taken():
    # Two priors in the first object, three in the second. The last two have found the first object, and are not its own.
    where = tensor([[3.0, 3, 8, 8], [7, 7, 8, 8], [30, 20, 8, 8], [40, 20, 8, 8], [50, 20, 8, 8]])
    targets = Targets(tensor([[0.0, 0, 10, 10], [20, 0, 60, 40]]), torch.tensor([0, 0]))
    boxes = tensor([[0.0, 0, 10, 5], [90, 90, 99, 99], [20, 0, 60, 40], [0, 0, 10, 10], [0, 0, 10, 10]])
    found = assign(where, boxes, torch.zeros(5, 1).double(), targets, AssignmentSettings(tiny_radius=0.1))
    # The IoUs that the objects may count are a half and 1, which makes one prior for each.
    assert found.objects.tolist() == [0, -1, 1, -1, -1]


@pytest.mark.parametrize(("largest", "near"), [(4, []), (8, [1]), (16, [1, 3]), (32, [1, 3, 4])])
def test_the_nearest_prior_of_each_level_within_its_strides(largest, near):
    # Of a box around (19, 19): 4.2 pixels away, 7.1 pixels away where a stride is 4, and 18.4 pixels where it is 32.
    where = tensor([[24.0, 24, 4, 4], [16, 16, 8, 8], [24, 24, 8, 8], [16, 16, 16, 16], [32, 32, 32, 32]])
    found = nearby(where, tensor([[18.0, 18, 20, 20]]), 1.0, largest)
    assert found[:, 0].nonzero()[:, 0].tolist() == near


def test_priors_on_the_border_of_a_box_are_not_inside():
    where = tensor([[10.0, 15, 8, 8], [20, 15, 8, 8], [15, 10, 8, 8], [15, 20, 8, 8], [15, 15, 8, 8]])
    assert inside(where, tensor([[10.0, 10, 20, 20]]))[:, 0].tolist() == [False, False, False, False, True]


def test_a_prior_that_two_objects_want_goes_to_the_cheaper_one():
    assert matched(tensor([[2.0, 1.0]]), tensor([[0.5, 0.5]]), 13).tolist() == [1]


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        (None, [1, 1, 0]),
        (AssignmentSettings(ignored_share=0.3), [0, 0, 0]),
        (AssignmentSettings(ignored_share=0.7), [1] * 3),
    ],
)
def test_background_whose_box_lies_in_an_ignored_region_by_more_than_a_share_is_left_out(settings, weights):
    # Boxes of 20 x 20 pixels that lie in the region by 40, 50 and 60 %; the priors themselves lie outside of it.
    boxes = tensor([[88.0, 40, 108, 60], [90, 40, 110, 60], [92, 40, 112, 60]])
    where = tensor([[96.0, 48, 8, 8]] * 3)
    targets = Targets(ignored=tensor([[100.0, 0, 200, 100]]))
    assert assign(where, boxes, torch.zeros(3, 1).double(), targets, settings).weights.tolist() == weights


@pytest.mark.parametrize("values", [{"tiny_radius": -0.1}, {"ignored_share": 1.1}, {"ignored_share": -0.1}])
def test_impossible_assignments_are_refused(values):
    with pytest.raises(InputError, match="--tiny_radius starts at 0, --ignored_share lies from 0 to 1"):
        AssignmentSettings(**values)


def test_losses_of_boxes_do_not_move_the_scores_that_weigh_them():
    where = priors(64, 64, (8, 16, 32, 64), dtype=torch.float64)
    main, targets = golden_batch("main")
    losses = head_loss(main, where, assigned(main, targets, where), targets, 3)
    (losses.generalised_iou + losses.distribution_focal).backward()
    assert not main.grad[..., :3].any() and main.grad[..., 3:].any()


def test_the_highest_scores_enter_suppression_and_those_at_the_threshold_do_not():
    boxes = tensor([[0.0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9], [60, 0, 69, 9]])
    scores = tensor([[0.25], [0.5], [0.875], [0.75]])
    found = suppressed(boxes, scores, PostprocessSettings(score_threshold=0.25))
    assert found.scores.tolist() == [0.875, 0.75, 0.5]
    found = suppressed(boxes, scores, PostprocessSettings(candidates=2))
    assert found.scores.tolist() == [0.875, 0.75] and found.boxes[:, 0].tolist() == [40, 60]


def test_suppression():
    golden = GOLDEN["nms"]
    settings = PostprocessSettings(golden["score_thr"], golden["iou_thr"], golden["max_num"])
    found = suppressed(tensor(golden["boxes"]), tensor(golden["scores"]), settings)
    assert [d["label"] for d in golden["detections"]] == found.labels.tolist()
    close(found.boxes, [d["box"] for d in golden["detections"]])
    # The golden scores were taken in float32.
    close(found.scores, [d["score"] for d in golden["detections"]], 1e-7)
    few = suppressed(tensor(golden["boxes"]), tensor(golden["scores"]), PostprocessSettings(max_detections=1))
    assert few.scores.tolist() == [golden["scores"][0][0]]
    assert len(suppressed(torch.zeros(3, 4), torch.zeros(3, 2), settings)) == 0
    with pytest.raises(InputError, match="between 0 and 1"):
        PostprocessSettings(score_threshold=2)


def test_detections_are_mapped_back_to_the_file():
    matrix = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.5, 12.0]])
    targets = Targets(to_input=matrix, original_size=(100, 200))
    found = Detections(torch.tensor([[10.0, 17.0, 120.0, 42.0]]), torch.ones(1), torch.zeros(1, dtype=torch.int64))
    assert found.mapped_back(targets).boxes.tolist() == [[20.0, 10.0, 200.0, 60.0]]
