#!/bin/sh
# Writes the lock files of the container: every package that requirements.txt leads to, pinned,
# with the SHA-256 of each of its files on PyPI. Run it after a change of requirements.txt.
# Needs Python 3.11, which is the image's, and PyPI.
#
#   cpu.txt   requirements.txt without ONNX Runtime
#   gpu.txt   requirements.txt with ONNX Runtime's CUDA 13 and cuDNN 9 wheels
#   tools.txt what builds the wheel and lists what is inside the image; stays out of it
#
# openvino-telemetry is left out: it is there to call home on import, and OpenVINO works without
# it. So install these with --no-deps, as packaging/install.sh does.
set -eu
cd "$(dirname "$0")/.."
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
export CUSTOM_COMPILE_COMMAND=packaging/lock.sh
export PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS='' PIP_EXTRA_INDEX_URL='' # PyPI's files alone

python3.11 -m venv "$temporary/venv"
"$temporary/venv/bin/pip" install --quiet pip-tools==7.6.2

lock() { # NAME: locks what comes on standard input
    "$temporary/venv/bin/pip-compile" --quiet --generate-hashes --strip-extras --no-annotate \
        --no-emit-index-url --no-emit-options --unsafe-package openvino-telemetry \
        --output-file "packaging/$1.txt" -
}

# Markers are for other systems than the image's.
sed 's/ *;.*//; /^onnxruntime/d' requirements.txt | lock cpu
sed 's/ *;.*//; /^onnxruntime==/d; s/^onnxruntime-gpu==/onnxruntime-gpu[cuda,cudnn]==/' requirements.txt | lock gpu
printf 'cyclonedx-bom==7.5.0\nhatchling==1.33.0\n' | lock tools
