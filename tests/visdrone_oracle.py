"""VisDrone's official protocol once more, slow and plain, from its rules and from nothing of the project.

Works on the text lines themselves. Pixels are counted one by one, detections matched one by one at one threshold at a time.
"""


def official(annotations, detections, sizes, classes=range(1, 11)):
    """The seven figures in per cent for lines by image, and sizes (width, height) by image; None without any object."""
    truth, found = {}, {}
    for image in annotations:
        truth[image], found[image] = without_ignored(
            [numbers(line) for line in annotations[image]], [numbers(line) for line in detections[image]], *sizes[image]
        )
    # One entry for each image and class: the mean over entries is the weighted mean.
    entries = [label for label in classes for image in truth if any(row[5] == label for row in truth[image])]
    if not entries:
        return None
    thresholds = [0.5 + 0.05 * i for i in range(10)]
    ap = {(label, t): average_precision(label, t, 500, truth, found) for label in set(entries) for t in thresholds}
    figures = {
        "AP": mean(mean(ap[label, t] for t in thresholds) for label in entries),
        "AP50": mean(ap[label, thresholds[0]] for label in entries),
        "AP75": mean(ap[label, thresholds[5]] for label in entries),
    }
    for n in (1, 10, 100, 500):
        recall = {
            (label, t): max([0.0, *curve(label, t, n, truth, found)[0]]) for label in set(entries) for t in thresholds
        }
        figures[f"AR{n}"] = mean(mean(recall[label, t] for t in thresholds) for label in entries)
    return {name: 100 * value for name, value in figures.items()}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def numbers(line):
    return [float(field) for field in line.split(",")]


def half_away(value):
    return int(abs(value) + 0.5) * (1 if value >= 0 else -1)


def without_ignored(rows, dets, width, height):
    regions = [row for row in rows if row[5] == 0]
    rows = [row for row in rows if row[5] != 0]
    if not regions:
        return rows, dets
    pixels = set()
    for row in regions:
        x, y, w, h = (max(1, half_away(value)) for value in row[:4])
        for i in range(x, min(width, x + w) + 1):
            for j in range(y, min(height, y + h) + 1):
                pixels.add((i, j))

    def stays(row):
        x, y, w, h = (max(1, half_away(value)) for value in row[:4])
        x, y = min(x, width), min(y, height)
        columns = range(x + 1, min(width, x + w) + 1)
        lines = range(y + 1, min(height, y + h) + 1)
        covered = sum((i, j) in pixels for i in columns for j in lines)
        return covered < 0.5 * w * h

    return [row for row in rows if stays(row)], [det for det in dets if stays(det)]


def common(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def match(label, threshold, dets, rows):
    """(score, 1 hit / 0 miss / None neither) of each detection of the class, by descending score."""
    mine = sorted((det for det in dets if det[5] == label), key=lambda det: -det[4])
    counted = [row for row in rows if row[5] == label and row[4] != 0]
    ignored = [row for row in rows if row[5] == label and row[4] == 0]
    free = [True] * len(counted)
    outcome = []
    for det in mine:
        best, chosen = threshold, None
        for i, row in enumerate(counted):
            shared = common(det, row)
            overlap = shared / (det[2] * det[3] + row[2] * row[3] - shared) if shared else 0
            if free[i] and overlap >= best:
                best, chosen = overlap, i
        if chosen is not None:
            free[chosen] = False
            outcome.append((det[4], 1))
        elif any(common(det, row) and common(det, row) / (det[2] * det[3]) >= threshold for row in ignored):
            outcome.append((det[4], None))
        else:
            outcome.append((det[4], 0))
    return outcome


def curve(label, threshold, limit, truth, found):
    outcome = [pair for image in truth for pair in match(label, threshold, found[image][:limit], truth[image])]
    outcome.sort(key=lambda pair: -pair[0])
    total = max(1, sum(row[5] == label for rows in truth.values() for row in rows))
    hits = misses = 0
    recall, precision = [], []
    for _, kind in outcome:
        hits += kind == 1
        misses += kind == 0
        recall.append(hits / total)
        precision.append(hits / (hits + misses) if hits + misses else 0.0)
    return recall, precision


def average_precision(label, threshold, limit, truth, found):
    recall, precision = curve(label, threshold, limit, truth, found)
    area = before = 0.0
    for i, value in enumerate(recall):
        area += (value - before) * max(precision[i:])
        before = value
    return area
