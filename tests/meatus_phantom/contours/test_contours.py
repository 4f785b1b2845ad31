"""Contour files: what is read, what is refused, and how much volume the voxels hold."""

import csv
import gzip
import json
import math

import numpy as np
import pytest

from meatus.geometry import Geometry
from meatus.io.images import read_scan
from meatus.structures import Structure
from meatus_phantom.contours import ContourError, prism_mm3, rasterise, read_contours
from meatus_phantom.contours.table import import_contours, label_map
from meatus_phantom.errors import PhantomError
from tests.shared_files import shared


def circle(centre, radius, z, points=60, tilt=0.0):
    """A closed loop; ``tilt`` is how much z rises per mm of x."""
    angles = np.linspace(0, 2 * math.pi, points + 1)
    x, y = centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)
    loop = np.column_stack([x, y, z + tilt * (x - centre[0])])
    loop[-1] = loop[0]
    return loop.round(3).tolist()


def square(x, y, size, z):
    corners = [(x, y), (x + size, y), (x + size, y + size), (x, y + size), (x, y)]
    return [[a, b, z] for a, b in corners]


def structure(name, loops):
    return {"PatientID": "VS-SEG-007", "structure_name": name, "LPS_contour_points": loops}


def tumour(name="TV", scale=1.0):
    loops = [circle((20, -5), 5, z) for z in (1.5, 0.0, 3.0, 4.5)]
    return structure(name, (np.array(loops) * scale).tolist())


def cochlea():
    return structure("Cochlea", [circle((35, -12), 2.5, z) for z in (0.0, 1.0, 2.0)])


def write(folder, structures, name="sub-007_contours.json"):
    path = folder / name
    text = structures if isinstance(structures, str) else json.dumps(structures)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def grid(spacing, start=(8.1, -17.3, -5.2), size_mm=(24.0, 24.0, 16.0)):
    counts = [int(extent / step) for extent, step in zip(size_mm, spacing, strict=True)]
    return Geometry(tuple(counts), spacing, start)


def test_planes_are_sorted_and_counted_plain_or_gzipped(tmp_path):
    for name in ("sub-007_a.json", "sub-007_b.json.gz"):
        patient = read_contours(write(tmp_path, [tumour(), cochlea()], name))

        assert patient.subject == "sub-007"
        assert patient.side == 1
        assert patient.tumour.offsets_mm == pytest.approx((0, 1.5, 3, 4.5))
        assert patient.cochlea is not None
        assert patient.tumour.centre_mm == pytest.approx((20, -5, 2.25), abs=0.01)


def test_the_side_is_the_cochleas(tmp_path):
    right = structure("Cochlea", [circle((-35, -12), 2.5, z) for z in (0.0, 1.0, 2.0)])

    assert read_contours(write(tmp_path, [tumour(), right])).side == -1


def test_a_cylinder_has_area_times_planes_times_spacing(tmp_path):
    patient = read_contours(write(tmp_path, [tumour()]))
    whole = (
        math.pi * 25 * 4 * 1.5
    )  # four slices of 1.5 mm; a polygon of 60 corners holds 0.2 % less

    assert prism_mm3(patient.tumour) == pytest.approx(whole, rel=0.005)


def test_a_slanting_spindle_keeps_its_volume_between_few_planes(tmp_path):
    # Radii 1, 3, 5, 3, 1 at 2 mm: prisms of 2 mm hold 2 pi (1 + 9 + 25 + 9 + 1) = 282.7 mm3.
    radii = (1, 3, 5, 3, 1)
    loops = [circle((16 + 2 * i, -5), r, 2.0 * i, 90) for i, r in enumerate(radii)]
    contour = read_contours(write(tmp_path, [structure("TV", loops)])).tumour
    fine, coarse = grid((0.4, 0.4, 0.25)), grid((0.4, 0.4, 1.0))

    assert prism_mm3(contour) == pytest.approx(282.7, rel=0.005)
    assert rasterise(contour, fine).sum() * fine.voxel_mm3 == pytest.approx(282.7, rel=0.02)
    assert rasterise(contour, coarse).sum() * coarse.voxel_mm3 == pytest.approx(282.7, rel=0.07)


def test_loops_of_a_plane_add_up_and_overlaps_count_once(tmp_path):
    apart = [square(x, 0, 4, z) for z in (0.0, 2.0) for x in (10, 16)]
    nested = [square(x, x - 10, s, z) for z in (0.0, 2.0) for x, s in ((10, 4), (11, 2))]

    two = read_contours(write(tmp_path, [structure("TV", apart)])).tumour
    one = read_contours(write(tmp_path, [structure("TV", nested)])).tumour

    assert prism_mm3(two) == pytest.approx(2 * 16 * 2 * 2, rel=0.001)
    assert prism_mm3(one) == pytest.approx(16 * 2 * 2, rel=0.03)


def test_half_a_spacing_is_added_above_and_below(tmp_path):
    contour = read_contours(write(tmp_path, [tumour()])).tumour
    geometry = Geometry((1, 1, 16), (1.0, 1.0, 0.5), (20.0, -5.0, -1.5))

    inside = rasterise(contour, geometry)[:, 0, 0]

    # Planes from 0 to 4.5 fill -0.75 to 5.25: the centres -0.5 to 5.0.
    assert np.flatnonzero(inside).tolist() == list(range(2, 14))


def test_tilted_planes_are_followed(tmp_path):
    loops = [circle((20, -5), 5, z, tilt=0.1) for z in (0.0, 1.5, 3.0)]
    contour = read_contours(write(tmp_path, [structure("TV", loops)])).tumour

    left = Geometry((1, 1, 200), (1.0, 1.0, 0.05), (23.0, -5.0, -4.0))
    right = Geometry((1, 1, 200), (1.0, 1.0, 0.05), (17.0, -5.0, -4.0))
    middles = [
        np.flatnonzero(rasterise(contour, g)[:, 0, 0]).mean() * 0.05 - 4 for g in (left, right)
    ]

    assert middles[0] - middles[1] == pytest.approx(0.6, abs=0.06)  # 0.1 per mm over 6 mm


def test_a_label_map_shows_tumour_and_cochlea(tmp_path):
    labels = label_map(read_contours(write(tmp_path, [tumour(), cochlea()])))

    assert set(np.unique(labels.voxels)) == {0, Structure.EXTRA_MEATAL, Structure.COCHLEA}


OPEN = [*circle((20, -5), 5, 1.5)[:-1]]
FAULTS = {
    "open loop": ([structure("TV", [circle((20, -5), 5, 0.0), OPEN])], "'TV': loop 2 is open"),
    "no planes": ([structure("TV", [])], "'TV': has no planes"),
    "one plane": ([structure("TV", [circle((20, -5), 5, 0.0)])], "'TV': has 1 plane"),
    "centimetres": ([tumour(scale=0.1)], "'TV': .*millimetres"),
    "metres": ([tumour(scale=0.001)], "'TV': .*millimetres"),
    "micrometres": ([tumour(scale=1000)], "'TV': .*millimetres"),
    "no points": ([{"structure_name": "TV"}], "'TV': has no key 'LPS_contour_points'"),
    "no name": ([{"LPS_contour_points": []}], "'structure 1': has no key 'structure_name'"),
    "two tumours": ([tumour("TV"), cochlea(), tumour("AN")], "'AN': is a second tumour"),
    "same name": ([tumour("Men"), tumour("Men")], "'Men': is a second tumour"),
    "cochlea first": ([cochlea(), tumour()], "'Cochlea': comes first"),
    "not JSON": ("contours", "not JSON"),
    "empty": ("", "file is empty"),
    "empty list": ([], "holds no structure"),
    "object": ({"TV": 1}, "holds a dict"),
    "no triples": ([structure("TV", [[[1, 2], [3, 4], [1, 2]]])], "'TV': loop 1 is not a list"),
    "text": ([structure("TV", [[["a", "b", "c"]]])], "'TV': loop 1 is not a list"),
    "too deep": ("[" * 200_000, "not JSON"),
    "line": ([structure("TV", [[[0, 0, 0], [5, 0, 0], [0, 0, 0]]])], "'TV': loop 1 has 2 points"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_in_one_line_that_names_file_and_structure(tmp_path, fault):
    content, message = FAULTS[fault]
    path = write(tmp_path, content)

    with pytest.raises(ContourError, match=message) as caught:
        read_contours(path)

    assert isinstance(caught.value, PhantomError)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_archive_is_told(tmp_path):
    path = write(tmp_path, [tumour()], "sub-007.json.gz")
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(ContourError, match="end early"):
        read_contours(path)


def test_contours_of_earlier_scans_are_no_second_tumour(tmp_path):
    earlier = [structure(name, []) for name in ("Vol2015", "6m", "Vol 2y", "Brainstem")]

    assert read_contours(write(tmp_path, [tumour("an"), *earlier])).cochlea is None


def test_an_import_goes_on_past_bad_files(tmp_path):
    source, out, said = tmp_path / "in", tmp_path / "out", []
    source.mkdir()
    write(source, [tumour(), cochlea()], "sub-001_a.json")
    write(source, [tumour()], "sub-002_a.json.gz")
    bad = write(source, [structure("TV", [])], "sub-003_a.json")

    failures = import_contours(source, out, said.append)

    assert failures == 1
    assert sum(str(bad) in line and "'TV'" in line for line in said) == 1
    rows = list(csv.DictReader((out / "volumes.csv").read_text().splitlines()))
    assert [row["subject"] for row in rows] == ["sub-001", "sub-002"]
    assert [row["flags"] for row in rows] == ["", "no cochlea"]
    assert float(rows[0]["tumour_mm3"]) == pytest.approx(math.pi * 150, rel=0.005)
    written = read_scan(out / "sub-001_Label.nii.gz")
    assert (written.voxels == 1).sum() * written.geometry.voxel_mm3 == pytest.approx(
        float(rows[0]["tumour_label_mm3"]), abs=0.1
    )


def test_a_folder_without_contours_is_told(tmp_path):
    with pytest.raises(ContourError, match=r"holds no \*\.json"):
        import_contours(tmp_path, tmp_path / "out", print)


def test_real_tumours_keep_their_volume():
    folder = shared("data/vs-contours")
    index = {
        row["subject"]: row
        for row in csv.DictReader((folder / "index.csv").read_text().splitlines())
    }
    names = sorted(index)
    # Every sixth, which keeps the test short, and those with the largest errors among all 196.
    chosen = sorted({*names[::6], "sub-093", "sub-141", "sub-174", "sub-112"})
    for name in chosen:
        path = folder / "contours" / f"{name}_contours_space-individual_T2w.json.gz"
        patient, row = read_contours(path), index[name]
        volume = prism_mm3(patient.tumour)
        assert volume == pytest.approx(float(row["tumour_volume_mm3"]), rel=0.002)
        assert len(patient.tumour.offsets_mm) == int(row["tumour_n_planes"])
        assert (patient.side > 0) == (row["side"] == "L")
        for slice_mm, tolerance in ((1.0, 0.07), (0.25, 0.02)):
            low = patient.tumour.points_mm.min(axis=0) - 2.9
            extent = patient.tumour.points_mm.max(axis=0) + 3 - low
            spacing = (0.4, 0.4, slice_mm)
            geometry = grid(spacing, tuple(float(v) for v in low), tuple(extent))
            voxels = rasterise(patient.tumour, geometry).sum() * geometry.voxel_mm3
            assert voxels == pytest.approx(volume, rel=tolerance), (name, slice_mm)
