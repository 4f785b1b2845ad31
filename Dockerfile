# Two images: `gpu` (the default) runs on CUDA where it finds a GPU, else on the processor;
# `cpu` has OpenVINO alone and is the smallest.
#
#   docker build -t meatus .
#   docker build -t meatus:cpu --target cpu .
#   docker run --rm --network none -v IN:/input:ro -v OUT:/output meatus
#   docker run --rm meatus info
#
# OUT must be writable for the container's user: 65532, or who --user names.
# packaging/lock.sh writes the lock files.

ARG BASE=python:3.11-slim

FROM ${BASE} AS builder
COPY packaging/tools.txt packaging/install.sh /build/
RUN /build/install.sh tools /build/tools.txt /build/tools
COPY inference/pyproject.toml /build/

FROM builder AS program
COPY LICENSE /opt/meatus/
COPY weights /build/weights
COPY inference /build/inference
RUN /build/install.sh program /build/inference /opt/meatus/venv

FROM ${BASE} AS runtime
# Home is the one place besides /output that may be written to.
ENV HOME=/tmp \
    PATH=/opt/meatus/venv/bin:${PATH} \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /opt/meatus
USER 65532:65532
ENTRYPOINT ["meatus"]
CMD ["predict", "/input", "/output"]
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="Meatus" \
      org.opencontainers.image.description="Finds vestibular schwannoma and cochlea in hrT2 MRI; research software, not for clinical use" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"

FROM builder AS packages-cpu
COPY packaging/cpu.txt /build/
RUN /build/install.sh packages /build/cpu.txt /opt/meatus/venv

FROM runtime AS cpu
COPY --from=packages-cpu /opt/meatus/venv /opt/meatus/venv
COPY --from=packages-cpu /build/sbom.cdx.json /usr/share/meatus/sbom.cdx.json
COPY --from=program /opt/meatus /opt/meatus

FROM builder AS packages-gpu
COPY packaging/gpu.txt /build/
RUN /build/install.sh packages /build/gpu.txt /opt/meatus/venv

FROM runtime AS gpu
# What NVIDIA's container toolkit is to bring in from the host: the driver, no graphics.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=packages-gpu /opt/meatus/venv /opt/meatus/venv
COPY --from=packages-gpu /build/sbom.cdx.json /usr/share/meatus/sbom.cdx.json
COPY --from=program /opt/meatus /opt/meatus
