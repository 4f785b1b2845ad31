"""Nothing depends on how a scanner scales its grey values: the same labels from 1e-20 to 1e20."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meatus.geometry import Geometry
from meatus.intensity import normalise_volume
from meatus.pipeline import load_model, segment
from meatus.preprocess import prepare
from meatus.spec import ReferenceCrop, SliceNormalisation, VolumeNormalisation
from meatus.volumes import Scan
from tests.meatus.specs import make_spec
from tests.meatus.tiny_runs import write_weights

GRID = Geometry((120, 120, 12), (1, 1, 1.5), (0, 0, 0))
PUBLISHED = make_spec(crop=ReferenceCrop(), normalisation=SliceNormalisation(), depth=40, overlap=0)


def head():
    z, y, x = np.mgrid[:12, :120, :120]
    voxels = np.where((x - 60) ** 2 + (y - 60) ** 2 < 55**2, 100.0, 0.0)
    voxels = voxels + np.random.default_rng(0).integers(0, 20, voxels.shape)
    for centre in (25, 95):
        voxels[(x - centre) ** 2 + (y - 60) ** 2 + 4 * (z - 6) ** 2 < 16] = 1000
    return voxels


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(
        write_weights(tmp_path_factory.mktemp("weights")), device="cpu", quality="fast"
    )


def scaled(scale):
    return Scan((head() * scale).astype(np.float32), GRID)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(power=st.floats(-20, 20))
def test_labels_are_the_same_at_any_linear_scale(model, power):
    expected = segment(scaled(1), model)

    found = segment(scaled(10**power), model)

    np.testing.assert_array_equal(found.labels.voxels, expected.labels.voxels)
    assert found.labels.voxels.max() == 3
    assert found.appearance == expected.appearance


@pytest.mark.parametrize("scale", [1e-20, 1e-9, 1e-3, 1e20])
def test_the_published_rule_by_slice_leaves_out_the_same_slices_at_any_scale(scale):
    voxels = head()
    # Slices span 119 as a rule; the first spans less than a hundredth of it, the last more.
    voxels[0] = 50 + 1 * (voxels[0] > 10)
    voxels[-1] = 50 + 2 * (voxels[-1] > 10)
    one, other = (
        prepare(Scan((voxels * by).astype(np.float32), GRID), PUBLISHED) for by in (1, scale)
    )

    np.testing.assert_allclose(one.voxels, other.voxels, atol=2e-4)
    assert one.geometry == other.geometry
    assert one.geometry.size[2] == 11


def test_tiny_values_fill_the_whole_range():
    voxels = (head() * 1e-12).astype(np.float32)

    normal = normalise_volume(voxels, VolumeNormalisation())

    assert (normal.min(), normal.max()) == (-1, 1)
    np.testing.assert_allclose(
        normal, normalise_volume(head().astype(np.float32), VolumeNormalisation()), atol=1e-4
    )


def test_what_is_not_empty_may_have_one_value():
    voxels = np.zeros((3, 16, 16), np.float32)
    voxels[:, 4:12, 4:12] = 1e-9

    normal = normalise_volume(voxels, VolumeNormalisation())

    assert set(np.unique(normal).tolist()) == {-1.0, 1.0}
