"""A Spec for tests; only what a test names differs from the defaults."""

from meatus.spec import PhysicalCrop, Spec, VolumeNormalisation, Window


def make_spec(
    crop=None, normalisation=None, depth=8, overlap=2, softmax=True, precision="fp32", **changes
):
    return Spec(
        name="test",
        crop=crop or PhysicalCrop(size=(32, 32), spacing_mm=2.0),
        normalisation=normalisation or VolumeNormalisation(),
        window=Window(depth, overlap),
        trained_on="nothing: a test",
        licence="none",
        date="2026-01-01",
        training_version="0",
        softmax=softmax,
        precision=precision,
        **{"width": 1, "blocks": 1} | changes,
    )
