# GSNet on a CPU: docker build -t gsnet . && docker run --rm -v "$PWD/save_dir:/gsnet/save_dir" gsnet evolution_search --help
#
# Checked by hadolint alone (no findings): this image has never been built.
FROM python:3.11-slim-bookworm

WORKDIR /gsnet
COPY requirements.txt .
# torch for CPUs, without the gigabytes of CUDA libraries; the rest from PyPI.
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "torch>=2.9,<3" "torchvision>=0.24,<1" \
    && pip install --no-cache-dir -r requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --editable . \
    && useradd --create-home --uid 1000 researcher \
    && mkdir -p save_dir \
    && chown researcher save_dir
USER 1000

ENTRYPOINT ["gsnet"]
CMD ["--help"]
