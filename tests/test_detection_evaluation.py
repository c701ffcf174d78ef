"""Both protocols: the official toolkit's figures, pycocotools' figures, and an independent plain version on random cases."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.visdrone_evaluation import by_pycocotools, synthetic_set
from gsnet.commands import val_detection
from gsnet.detection.coco_evaluation import coco_figures, evaluate_coco, evaluate_json
from gsnet.detection.coco_format import read_coco, to_coco, to_coco_results
from gsnet.detection.report import as_text, evaluated
from gsnet.detection.scene import ImageResults
from gsnet.detection.visdrone_evaluation import evaluate_visdrone, outside_regions, region_integral, round_half_away
from gsnet.detection.visdrone_format import read_annotations, read_results_folder, write_results
from tests import visdrone_oracle as oracle

ROOT = Path(__file__).parent.parent
GOLDEN = json.loads((Path(__file__).parent / "golden" / "detection.json").read_text())
OFFICIAL = GOLDEN["visdrone_official"]
SIZE = tuple(OFFICIAL["image_size_wh"])


def written(folder, annotations, detections, size):
    for name, files in (("annotations", annotations), ("results", detections)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for stem, lines in files.items():
            (folder / name / f"{stem}.txt").write_text("\n".join(lines) + "\n")
    data = read_annotations(folder / "annotations", dict.fromkeys(annotations, size))
    return data, read_results_folder(folder / "results", data)[0]


@pytest.fixture
def case(tmp_path):
    return written(tmp_path, OFFICIAL["annotation_files"], OFFICIAL["detection_files"], SIZE)


def test_the_official_toolkits_figures(case):
    data, results = case
    expected = OFFICIAL["official_toolkit_percent"]
    found = evaluate_visdrone(data, results)
    assert found.figures() == pytest.approx(expected["detections_in_given_file_order"], abs=1e-6)
    ordered = evaluate_visdrone(data, [part.by_score() for part in results])
    assert ordered.figures() == pytest.approx(expected["detections_sorted_by_score"], abs=1e-6)
    for row, (name, wanted) in zip(
        [row for row in found.classes if row.images], OFFICIAL["official_per_class"].items(), strict=True
    ):
        assert data.category_ids[data.class_names.index(row.name)] == int(name)
        figures = {"images": row.images, "AP": row.AP, "AP50": row.AP50, "AP75": row.AP75}
        assert figures == pytest.approx(wanted, abs=1e-6)


def test_what_ignored_regions_take_away(case):
    data, results = case
    for scene, found in zip(data.scenes, results, strict=True):
        kept = OFFICIAL["kept_after_ignored_region_drop"][scene.name]
        if not len(scene.regions):
            assert len(found) == kept["det"]
            continue
        integral = region_integral(scene.regions, scene.width, scene.height)
        assert outside_regions(scene.boxes, integral).sum() == kept["gt"]
        assert outside_regions(found.boxes, integral).sum() == kept["det"]


@pytest.mark.parametrize("region", [(0, 0, 2, 1), (-2, 3, 4, 9), (3, 2, 1, 2.5), (1, 1, 1, 4), (5, 4, 3, 3)])
def test_every_box_of_a_small_image_is_as_by_counting_pixels(region):
    """Also those that begin before it, or end behind it, and those of half a pixel."""
    width, height = 6, 5
    sides = (0.4, 1, 2, 3.5)
    boxes = np.array([(x, y, w, h) for x in range(-2, 8) for y in range(-2, 7) for w in sides for h in sides])
    dets = [[*box, number, 1] for number, box in enumerate(boxes.tolist())]
    kept = [int(row[4]) for row in oracle.without_ignored([[*region, 0, 0]], dets, width, height)[1]]
    found = outside_regions(boxes, region_integral(np.array([region], dtype=float), width, height))
    assert np.flatnonzero(found).tolist() == kept and 0 < len(kept) < len(boxes)


def test_halves_are_rounded_away_from_zero():
    assert round_half_away(np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49])).tolist() == [1, 2, 3, -1, -2, 0]


@pytest.mark.parametrize(
    ("regions", "expected"),
    [
        ("discard", "ignored regions discarded"),
        ("crowd", "ignored regions as iscrowd=1 of every category"),
        ("drop", "official drop rule applied first"),
    ],
)
def test_cocos_figures_under_three_treatments_of_regions(case, regions, expected):
    figures = evaluate_coco(*case, regions).figures
    wanted = OFFICIAL["coco_api_percent"][expected]
    assert {name: figures[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)


def test_pycocotools_figures_with_500_detections():
    golden = GOLDEN["coco_ap"]
    result = evaluate_json(golden["ground_truth"], golden["detections"])
    for name, value in golden["stats"].items():
        found = result.figures[name.replace("AR_1", "AR1")]
        assert found is None if value == -1 else found == pytest.approx(100 * value, abs=1e-6), name
    correct = golden["gotcha_maxDets_1_10_500"]["correct_AP_from_precision_array"]
    assert result.figures["AP_500"] == pytest.approx(100 * correct, abs=1e-6)
    for name, category in (("pedestrian", "1"), ("car", "4")):
        for figure in ("AP", "AP50"):
            wanted = 100 * golden["per_category"][category][figure]
            assert result.classes[name][figure] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("regions", ["discard", "crowd"])
@pytest.mark.parametrize("digits", [1, 16])
def test_figures_are_those_of_pycocotools_to_the_last_bit(regions, digits):
    """Score ties, crowds, all sizes, more than 100 detections, and classes without objects."""
    data, results = synthetic_set(4, 500)
    data = replace(data, scenes=tuple(scene.chosen(scene.labels < 7) for scene in data.scenes))
    results = [ImageResults(found.boxes, found.scores.round(digits), found.labels) for found in results]
    reference = by_pycocotools(data, results, regions).eval
    expected = coco_figures(reference["precision"], reference["recall"])
    assert evaluate_coco(data, results, regions).figures == expected
    assert evaluate_json(to_coco(data, regions), to_coco_results(data, results)).figures == expected
    assert 0 < expected["AP"] < expected["AP_500"] and expected["AR_medium"] > 0


def by_hand(reference, places, recall=False):
    """The mean of what exists in pycocotools' arrays at (class, size, limit), in per cent; None where nothing does."""
    of_class, size, limit = places
    values = reference["recall" if recall else "precision"][..., of_class, size, limit]
    return 100 * values[values > -1].mean() if (values > -1).any() else None


def test_each_figure_is_read_at_its_own_place():
    """Thresholds 0.5, 0.75 and 0.5 to 0.95, four sizes, and limits of 1, 10, 100 and 500, of all classes and of each."""
    data, results = synthetic_set(4, 500, seed=3)
    # Names whose order is neither that of the alphabet nor that of the ids of their categories.
    data = replace(data, category_ids=(7, 3, 9, 1, 4, 10, 2, 8, 6, 5))
    found, reference = evaluate_coco(data, results), by_pycocotools(data, results).eval
    thresholds = {"AP": slice(None), "AP50": slice(0, 1), "AP75": slice(5, 6)}
    places, every = {"": 2, "_500": 3}, slice(None)
    expected = {
        name + ending: by_hand({"precision": reference["precision"][part]}, (every, 0, limit))
        for name, part in thresholds.items()
        for ending, limit in places.items()
    }
    for size, name in enumerate(("small", "medium", "large"), start=1):
        for ending, limit in places.items():
            expected[f"AP_{name}{ending}"] = by_hand(reference, (every, size, limit))
            expected[f"AR_{name}{ending}"] = by_hand(reference, (every, size, limit), recall=True)
    for limit, number in enumerate((1, 10, 100, 500)):
        expected[f"AR{number}"] = by_hand(reference, (every, 0, limit), recall=True)
    assert found.figures == pytest.approx(expected, abs=1e-9)
    assert all(expected[name] < expected[f"{name}_500"] for name in ("AP", "AP75", "AR_small"))
    names = dict(zip(data.category_ids, data.class_names, strict=True))
    assert found.classes == {
        names[category]: pytest.approx(
            {
                name + ending: by_hand({"precision": reference["precision"][part]}, (place, 0, limit))
                for name, part in thresholds.items()
                for ending, limit in places.items()
            },
            abs=1e-9,
        )
        for place, category in enumerate(sorted(names))
    }


def test_classes_of_a_file_are_told_by_its_own_ids_in_whatever_order_it_lists_them(case):
    data, results = case
    content = to_coco(data)
    rows = to_coco_results(data, results)
    expected = evaluate_json(content, rows)
    assert len({figures["AP50"] for figures in expected.classes.values()}) > 2
    turned = content | {"categories": content["categories"][::-1]}
    assert evaluate_json(turned, rows).classes == expected.classes
    assert evaluate_coco(data, results).classes == expected.classes


def test_detections_of_no_class_are_not_counted():
    """They have their place in VisDrone's order, and no category in COCO's: also where the last class is there."""
    data, results = synthetic_set(2, 100)
    assert any((scene.labels == len(data.class_names) - 1).any() for scene in data.scenes)
    more = [
        ImageResults(
            np.concatenate([part.boxes, part.boxes]),
            np.concatenate([part.scores, part.scores]),
            np.concatenate([part.labels, np.full(len(part), -1)]),
        )
        for part in results
    ]
    assert evaluate_coco(data, more) == evaluate_coco(data, results)


def test_500_detections_count_more_than_100():
    """200 cars in a row, all found: at most half of them within 100 detections."""
    truth = {"info": {}, "images": [{"id": 1, "width": 4000, "height": 20, "file_name": "a.jpg"}]}
    truth["categories"] = [{"id": 1, "name": "car"}]
    boxes = [[20 * i, 0, 10, 10] for i in range(200)]
    truth["annotations"] = [
        {"id": i + 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 100, "iscrowd": 0}
        for i, box in enumerate(boxes)
    ]
    found = [{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9} for box in boxes]
    figures = evaluate_json(truth, found).figures
    assert figures["AR100"] == pytest.approx(50) and figures["AR500"] == pytest.approx(100)
    # 51 of the 101 recall points, from 0 to 0.5, have precision 1.
    assert figures["AP"] == pytest.approx(100 * 51 / 101) and figures["AP_500"] == pytest.approx(100)


@pytest.mark.parametrize("ordered", [False, True])
def test_what_is_said_of_each_class_and_of_what_was_kept(case, ordered):
    """By the plain version, of one class at a time; counts by the toolkit's own, and by lines."""
    data, results = case
    files = OFFICIAL["detection_files"]
    if ordered:
        results = [part.by_score() for part in results]
        files = {name: sorted(lines, key=lambda line: -float(line.split(",")[4])) for name, lines in files.items()}
    found, sizes = evaluate_visdrone(data, results), dict.fromkeys(files, SIZE)
    kept = OFFICIAL["kept_after_ignored_region_drop"]
    truth = {name: oracle.without_ignored(*both, *SIZE)[0] for name, both in numbered(files).items()}
    assert found.kept_objects == sum(row.objects for row in found.classes)
    assert found.kept_detections == sum(one["det"] for one in kept.values()) < sum(map(len, files.values()))
    for row, category in zip(found.classes, data.category_ids, strict=True):
        assert row.objects == sum(one[5] == category for rows in truth.values() for one in rows), row.name
        assert row.images == sum(any(one[5] == category for one in rows) for rows in truth.values()), row.name
        expected = oracle.official(OFFICIAL["annotation_files"], files, sizes, [category])
        if expected is not None:
            figures = {name: getattr(row, name) for name in ("AP", "AP50", "AP75", "AR500")}
            assert figures == pytest.approx({name: expected[name] for name in figures}, abs=1e-9)


def numbered(files):
    """Rows of ground truth and of detections by image."""
    return {
        name: tuple([oracle.numbers(line) for line in lines[name]] for lines in (OFFICIAL["annotation_files"], files))
        for name in files
    }


def test_nothing_found_is_zero(case):
    data, results = case
    nothing = [part.chosen(np.zeros(len(part), dtype=bool)) for part in results]
    assert set(evaluate_visdrone(data, nothing).figures().values()) == {0.0}
    assert evaluate_coco(data, nothing).figures["AP50"] == 0


def test_results_survive_their_file(case, tmp_path):
    data, results = case
    (tmp_path / "again").mkdir()
    for scene, found in zip(data.scenes, results, strict=True):
        write_results(tmp_path / "again", scene.name, found)
    again, stray = read_results_folder(tmp_path / "again", data)
    assert not stray
    for found, other in zip(results, again, strict=True):
        found = found.by_score()
        assert np.array_equal(found.boxes, other.boxes) and np.array_equal(found.scores, other.scores)
        assert np.array_equal(found.labels, other.labels)
    line = (tmp_path / "again" / "c.txt").read_text().splitlines()[0]
    assert line == "80,60,9,9,0.75,2,-1,-1"


sides = st.integers(1, 14)
places = st.tuples(st.integers(-2, 38), st.integers(-2, 30), sides, sides)
scores = st.sampled_from(["0.9", "0.8", "0.7", "0.6", "0.5", "0.4", "0.3", "0.2"])
halves = st.sampled_from([0, 0, 0.5, 0.25])


@st.composite
def images(draw):
    """Lines of ground truth and of detections; many detections lie near an object, scores repeat, some rows are ignored."""
    rows, dets = [], []
    for _ in range(draw(st.integers(0, 6))):
        x, y, w, h = draw(places)
        category = draw(st.sampled_from([0, 1, 1, 2, 2, 11]))
        score = 0 if category == 0 else draw(st.sampled_from([1, 1, 1, 0]))
        rows.append(f"{x},{y},{w},{h},{score},{category},0,0")
        if draw(st.booleans()):
            dx, dy = draw(st.integers(-2, 2)) + draw(halves), draw(st.integers(-1, 1))
            dets.append(f"{x + dx},{y + dy},{w},{h},{draw(scores)},{draw(st.sampled_from([1, 2]))},-1,-1")
    for _ in range(draw(st.integers(0, 8))):
        x, y, w, h = draw(places)
        dets.append(f"{x},{y},{w},{h},{draw(scores)},{draw(st.sampled_from([1, 2, 2, 11]))},-1,-1")
    return rows, draw(st.permutations(dets))


@settings(max_examples=150, deadline=None)
@given(st.lists(images(), min_size=1, max_size=3))
def test_the_same_as_a_plain_version_of_the_rules(tmp_path_factory, drawn):
    annotations = {f"image{i}": rows for i, (rows, _) in enumerate(drawn)}
    detections = {f"image{i}": list(dets) for i, (_, dets) in enumerate(drawn)}
    size = (40, 32)
    expected = oracle.official(annotations, detections, dict.fromkeys(annotations, size))
    data, results = written(tmp_path_factory.mktemp("case"), annotations, detections, size)
    if expected is None:
        return
    assert evaluate_visdrone(data, results).figures() == pytest.approx(expected, abs=1e-9)


def test_the_plain_version_gives_the_official_toolkits_figures():
    sizes = dict.fromkeys(OFFICIAL["annotation_files"], SIZE)
    found = oracle.official(OFFICIAL["annotation_files"], OFFICIAL["detection_files"], sizes)
    assert found == pytest.approx(OFFICIAL["official_toolkit_percent"]["detections_in_given_file_order"], abs=1e-6)


@pytest.mark.parametrize(("first", "second", "at_half"), [(0, 4, 100), (4, 0, 50)])
def test_of_two_objects_that_are_as_near_the_later_one_is_taken(tmp_path, first, second, at_half):
    """A car between two shares two thirds with each; the second one found is that at 0, if that is still free."""
    rows = [f"{left},0,10,10,1,4,0,0" for left in (first, second)]
    dets = ["2,0,10,10,0.9,4,-1,-1", "0,0,10,10,0.8,4,-1,-1"]
    found = evaluate_visdrone(*written(tmp_path, {"a": rows}, {"a": dets}, (40, 30)))
    assert found.figures()["AP50"] == pytest.approx(at_half)


def test_more_than_ten_in_an_image(tmp_path):
    """Cuts of 10 and 100 bite: 120 cars found in an unsorted file, the first 30 lines being wrong."""
    rng = np.random.default_rng(0)
    rows = [f"{30 * (i % 40)},{30 * (i // 40)},20,20,1,4,0,0" for i in range(120)]
    dets = [f"{30 * (i % 40)},{300 + 30 * (i // 40)},20,20,0.99,4,-1,-1" for i in range(30)]
    dets += [f"{30 * (i % 40) + 1},{30 * (i // 40)},20,20,{s:.3f},4,-1,-1" for i, s in enumerate(rng.random(120))]
    expected = oracle.official({"a": rows}, {"a": dets}, {"a": (1300, 500)})
    assert expected["AR10"] == 0 < expected["AR100"] < expected["AR500"]
    found = evaluate_visdrone(*written(tmp_path, {"a": rows}, {"a": dets}, (1300, 500)))
    assert found.figures() == pytest.approx(expected, abs=1e-9)
    # There are cars alone.
    assert [row.AR500 for row in found.classes if row.images] == pytest.approx([expected["AR500"]], abs=1e-9)


def test_both_protocols_are_printed_apart(case):
    text = as_text(evaluated(*case, "both"))
    visdrone, coco = text.split("COCO's protocol")
    assert "75.56" in visdrone and "75.56" not in coco and "70.02" in coco and "70.02" not in visdrone


def test_results_in_cocos_form(case):
    data, results = case
    rows = to_coco_results(data, results)
    assert len(rows) == sum(map(len, results))
    scores = [row["score"] for row in rows if row["image_id"] == 1]
    assert scores == sorted(scores, reverse=True)
    assert {row["category_id"] for row in rows} <= {c["id"] for c in to_coco(data)["categories"]}


# val_detection.py on files


def run_script(folder, *more, annotations="annotations", results="results"):
    command = [os.environ["WARM_PYTHON"], str(ROOT / "val_detection.py"), "--evaluate_results", str(folder / results)]
    command += ["--annotations", str(folder / annotations), *map(str, more)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.fixture
def files(case, tmp_path, warm_python):
    (tmp_path / "sizes.json").write_text(json.dumps(dict.fromkeys(OFFICIAL["annotation_files"], SIZE)))
    return tmp_path


def test_scoring_of_files(files):
    done = run_script(files, "--image_sizes", files / "sizes.json", "--protocol", "visdrone", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    expected = OFFICIAL["official_toolkit_percent"]["detections_in_given_file_order"]
    assert {name: figures[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_scoring_files_of_a_coco_data_set(case, files):
    data, results = case
    (files / "truth.json").write_text(json.dumps(to_coco(data)))
    (files / "found.json").write_text(json.dumps(to_coco_results(data, results)))
    for found in ("results", "found.json"):
        done = run_script(files, "--protocol", "coco", "--json", annotations="truth.json", results=found)
        assert done.returncode == 0, done.stderr
        wanted = OFFICIAL["coco_api_percent"]["ignored regions discarded"]["AP"]
        assert json.loads(done.stdout)["AP"] == pytest.approx(wanted, abs=1e-6)


def test_scoring_needs_no_torch():
    script = (
        "import sys, val_detection, gsnet.detection.score_files, gsnet.detection.report; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def remove(name):
    return lambda folder: (folder / name).unlink()


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("results/b.txt"), "no result file for b: an image in which nothing was found has an empty one"),
        (write("results/b.txt", "1,2,3,4,0.5,1,-1,-1\n1,2,3,4,0.5"), "b.txt, line 2: a line has 8"),
        (write("results/b.txt", "1,2,3,four,0.5,1,-1,-1\n"), "line 1: the column height is a number"),
        (write("results/b.txt", "1,2,3,4,0.5,0,-1,-1\n"), "line 1: the category (column 6) of a detection is one of 1"),
        (write("results/b.txt", "1,2,3,nan,0.5,1,-1,-1\n"), "line 1: all columns are finite"),
        (
            write("annotations/b.txt", "\n1,2,3,4,1,12,0,0\n"),
            "b.txt, line 2: the category (column 6) is a whole number",
        ),
        (write("annotations/b.txt", "1,2,3,4,0.5,1,0,0\n"), "line 1: the score (column 5) of ground truth is 0 or 1"),
        (write("sizes.json", '{"a": [100, 80]}'), "no image or size for b, c"),
        (write("sizes.json", '{"a": [100]}'), "two whole numbers"),
        (write("sizes.json", "a"), "no JSON"),
    ],
)
def test_bad_input_ends_in_one_sentence(files, change, message):
    change(files)
    done = run_script(files, "--image_sizes", files / "sizes.json", "--protocol", "visdrone")
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_stray_and_empty_files_are_let_pass(files):
    write("results/z.txt", "rubbish")(files)
    write("results/b.txt", "")(files)
    done = run_script(files, "--image_sizes", files / "sizes.json")
    assert done.returncode == 0 and "no image of the ground truth has the name: z" in done.stderr
    assert "VisDrone's official protocol" in done.stdout and "COCO's protocol" in done.stdout


def test_sizes_of_objects_are_those_of_their_outlines_where_a_file_tells_them(tmp_path, capsys):
    """As COCO's own files do, and pycocotools: a box of 100 x 100 may hold a small object."""
    boxes, areas = [[10, 10, 100, 100], [200, 200, 100, 100], [400, 10, 60, 60]], [500.5, 9_900.25, 3_600]
    shared = [{"image_id": 1, "category_id": 1, "bbox": box} for box in boxes]
    truth = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [row | {"id": n, "area": areas[n - 1], "iscrowd": 0} for n, row in enumerate(shared, start=1)],
    }
    files = tmp_path / "truth.json", tmp_path / "found.json"
    for file, content in zip(files, (truth, [shared[0] | {"score": 0.9}, shared[2] | {"score": 0.8}]), strict=True):
        file.write_text(json.dumps(content))
    command = ["--evaluate_results", str(files[1]), "--annotations", str(files[0]), "--protocol", "coco", "--json"]
    assert val_detection.main(command) == 0
    found = json.loads(capsys.readouterr().out)
    official = COCO(str(files[0]))
    reference = COCOeval(official, official.loadRes(str(files[1])), "bbox")
    reference.evaluate()
    reference.accumulate()
    for place, size in enumerate(("small", "medium", "large"), start=1):
        precision = reference.eval["precision"][..., place, -1]
        assert found[f"AP_{size}"] == pytest.approx(100 * precision[precision > -1].mean()), size
    assert [found[f"AP_{size}"] for size in ("small", "medium", "large")] == pytest.approx([100, 100, 0])
    assert [row["area"] for row in to_coco(read_coco(files[0]))["annotations"]] == areas
