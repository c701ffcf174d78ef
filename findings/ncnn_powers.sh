#!/usr/bin/env bash
# ncnn 1.0.20261020, x86: powers of a map that holds zeros and negative numbers.
#
# Expected: -2 to the third is -8 and 0 to the third is 0, wherever the number stands in the map.
# Seen: numbers are taken four and more at once as exp(3 log x), which has no answer for what is not positive: they become 2.4e38.
#   What is left over behind the last four is computed one by one, and right: five times -2 gives 2.4e38 four times and -8 once.
#   A map behind a ReLU is full of zeros. pnnx writes maps ** 3 and maps.pow(4) as this layer; squares it writes as another one, which
#   is right, as is a product maps * maps * maps.
# Last line: as described: the first four of five powers of 0 and of -2 are 2.4e38, the fifth is right, and so are products
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ncnn==1.0.20261020 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import ncnn
import numpy

POWER, PRODUCT = 6, 2
FILES = {
    "power": f"7767517\n2 2\nInput maps 0 1 x\nBinaryOp cube 1 1 x y 0={POWER} 1=1 2=3.0\n",
    "product": "7767517\n4 6\nInput maps 0 1 x\nSplit copies 1 3 x a b c\n"
    f"BinaryOp square 2 1 a b e 0={PRODUCT}\nBinaryOp cube 2 1 e c y 0={PRODUCT}\n",
}


def cube(file, number):
    """The third power of five equal numbers."""
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    if net.load_param_mem(FILES[file]) != 0:
        raise SystemExit("changed: the file is refused")
    extractor = net.create_extractor()
    extractor.input("x", ncnn.Mat(numpy.full(5, number, numpy.float32)).clone())
    return numpy.array(extractor.extract("y")[1])


for file, number, first, last in (
    ("power", 2, 8, 8),
    ("power", -2, 2.4e38, -8),
    ("power", 0, 2.4e38, 0),
    ("product", -2, -8, -8),
    ("product", 0, 0, 0),
):
    seen = cube(file, number)
    print(f"{number} to the third as {file}: {seen.tolist()}")
    if not numpy.allclose(seen, [first] * 4 + [last], rtol=0.01):
        raise SystemExit("changed")
print("as described: the first four of five powers of 0 and of -2 are 2.4e38, the fifth is right, and so are products")
PYTHON
