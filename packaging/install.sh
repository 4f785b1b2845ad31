#!/bin/sh
# Runs inside the image's builder: installs into a virtual environment of its own.
#
#   install.sh tools LOCK VENV      the lock file and no more
#   install.sh packages LOCK VENV   then drops what the program never loads, lists the rest as
#                                   CycloneDX in /build/sbom.cdx.json, and compiles it
#   install.sh program FOLDER VENV  builds FOLDER's wheel, installs that and no more, compiles it;
#                                   the result goes over an environment of packages
set -eu
kind=$1 from=$2 venv=$3

python3 -m venv --without-pip "$venv"
if [ "$kind" = program ]; then
    (cd "$from" && /build/tools/bin/python -m hatchling build -t wheel -d /build/wheel)
    python3 -m pip --python "$venv/bin/python" install --no-cache-dir --no-compile \
        --disable-pip-version-check --no-deps --no-index /build/wheel/*.whl
    "$venv/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$venv/lib"
    # The checkout's umask must not decide who may read the program.
    chmod -R u=rwX,go=rX "$venv" "$venv/.."
    exit 0
fi
# Without its dependencies each package is what the lock file says, and nothing else comes in.
python3 -m pip --python "$venv/bin/python" install --no-cache-dir --no-compile \
    --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r "$from"
[ "$kind" = packages ] || exit 0

packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
/build/tools/bin/cyclonedx-py environment --pyproject /build/pyproject.toml \
    --output-reproducible --output-format JSON --output-file /build/sbom.cdx.json "$venv"

find "$packages" -type d -name tests -prune -exec rm -rf {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.h' -o -name '*.a' \) -delete
find "$venv/bin" -type f -delete # commands of packages; python is a link
# OpenVINO's other processors (with the GPU's tuning table), its readers of other formats than
# ONNX, and its C++ headers.
rm -rf "$packages/openvino/include" \
    "$packages/openvino/libs/cache.json" \
    "$packages"/openvino/libs/libopenvino_intel_[gn]pu_plugin.so \
    "$packages"/openvino/libs/libopenvino_gguf_frontend.so.* \
    "$packages"/openvino/libs/libopenvino_jax_frontend.so.* \
    "$packages"/openvino/libs/libopenvino_paddle_frontend.so.* \
    "$packages"/openvino/libs/libopenvino_pytorch_frontend.so.* \
    "$packages"/openvino/libs/libopenvino_tensorflow*_frontend.so.*

# The image is read-only at run time, so bytecode is made here: of the modules that a run loads,
# as that of all others is 20 MB. It is right whatever the files' dates are.
"$venv/bin/python" -B - "$packages" <<'END'
import contextlib
import importlib
import py_compile
import sys

for name in (
    "click nibabel numpy onnxruntime openvino pydantic.dataclasses rich.progress scipy.ndimage "
    "scipy.spatial SimpleITK jinja2 matplotlib.figure matplotlib.backends.backend_agg "
    "matplotlib.backends.backend_pdf"
).split():
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(name)
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None) or ""
    if file.startswith(sys.argv[1]) and file.endswith(".py"):
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(file, doraise=True, invalidation_mode=mode)
END
chmod -R u=rwX,go=rX "$venv" /build/sbom.cdx.json
