#!/usr/bin/env bash
# torchvision 0.29.1: transforms.v2.Resize on boxes made from whole numbers, as annotation files of aerial images hold them.
#
# Expected: boxes shrink with their image, as boxes of decimal numbers do.
# Seen: `BoundingBoxes` keeps whole numbers whole and cuts decimals off after every transform: at half size a person of 3 pixels
#   is 1 pixel wide instead of 1.5, less than half the area, and one of 1 pixel at an even place is 0 wide.
# Last line: as described: at half size a box of 3 x 3 has an area of 1 from whole numbers, 2.25 from decimal ones
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
from torchvision import tv_tensors
from torchvision.transforms import v2


def expect(what, seen, stated):
    print(f"{what}: {seen}")
    if seen != stated:
        raise SystemExit(f"changed: {what} was {stated}")


def halved(left, top, right, bottom):
    box = tv_tensors.BoundingBoxes([[left, top, right, bottom]], format="XYXY", canvas_size=(100, 100))
    return v2.Resize((50, 50))(box)[0].tolist()


def area(left, top, right, bottom):
    return (right - left) * (bottom - top)


expect("3 x 3 pixels at 20", halved(20, 20, 23, 23), [10, 10, 11, 11])
expect("the same in decimals", halved(20.0, 20.0, 23.0, 23.0), [10.0, 10.0, 11.5, 11.5])
expect("1 pixel at 10", halved(10, 10, 11, 11), [5, 5, 5, 5])
whole, decimal = area(*halved(20, 20, 23, 23)), area(*halved(20.0, 20.0, 23.0, 23.0))
print(f"as described: at half size a box of 3 x 3 has an area of {whole} from whole numbers, {decimal} from decimal ones")
PYTHON
