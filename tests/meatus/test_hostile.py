"""Scans that are damaged, disguised or no scans are refused in one line each."""

import gzip
import re

import numpy as np
import pytest
import SimpleITK as sitk

from meatus.errors import ScanError
from meatus.io.images import read_scan
from tests.meatus.hostile_files import FLOAT, contents, edited, nifti, pixdim, stored, with_bad
from tests.meatus.scan_files import GREY, TILTED, oblique, save


def flipped(data):
    middle = len(data) * 2 // 3
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 40]) + data[
        middle + 40 :
    ]  # fmt: skip


RGB = np.zeros((20, 18, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
FRAMES = sitk.JoinSeries([oblique(GREY.T)] * 3)
PAIRS = sitk.Compose([oblique(GREY.T)] * 2)
SLICE = oblique(GREY.T)[:, :, 2]
SHEARED = TILTED + np.array([[0, 0.1, 0, 0]] + [[0] * 4] * 3)
TEXT = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 20 18 5\nencoding: raw\nendian: little\n"

REFUSED = {
    # What the file is
    "text": (contents("scan.nii", b"no image at all"), "not a NIfTI file"),
    "text as gzip": (contents("scan.nii.gz", b"no image at all"), "not compressed with gzip"),
    "text as mha": (contents("scan.mha", b"no image at all\n"), "not a MetaImage"),
    "text as nrrd": (contents("scan.nrrd", b"no image at all\n"), "not an NRRD"),
    "binary as mha": (contents("scan.mha", bytes(range(256)) * 99), "not a MetaImage"),
    "empty": (contents("scan.nii.gz", b""), "empty"),
    "gzip of nothing": (contents("scan.nii.gz", gzip.compress(b"")), "not a NIfTI"),
    "another suffix": (contents("scan.bmp", b"BM"), "file name"),
    "a header of nothing": (contents("scan.mhd", b"ObjectType = Image\n"), "names no file"),
    "gzip named nii": (stored(".nii", gzip.compress), "name it .*nii.gz"),
    "no end of header": (contents("scan.nrrd", TEXT), "does not end"),
    "Analyze": (nifti({"magic": b""}), "lacks the mark"),
    "two files": (nifti({"magic": b"ni1"}), "in another file"),
    # Cut and damaged
    "cut gzip": (stored(".nii.gz", lambda data: data[: len(data) // 2]), "cut short"),
    "cut checksum": (stored(".nii.gz", lambda data: data[:-5]), "cut short"),
    "header only": (stored(".nii", lambda data: data[:352]), "0 bytes of voxels.* 3,600"),
    "half a header": (stored(".nii", lambda data: data[:200]), "a NIfTI header has 348"),
    "short gzip": (
        stored(".nii.gz", lambda data: gzip.compress(gzip.decompress(data)[:-7])),
        "3,593 bytes of voxels",
    ),
    "damaged gzip": (stored(".nii.gz", flipped), "damaged|cut short"),
    "damaged mha": (stored(".mha", flipped), "damaged|cut short"),
    "damaged nrrd": (stored(".nrrd", flipped), "damaged|cut short"),
    "cut mha": (stored(".mha", lambda data: data[:-99]), "cut short"),
    "cut raw mha": (stored(".mha", lambda data: data[:-99], False), "3,501 bytes of voxels"),
    "cut raw nrrd": (stored(".nrrd", lambda data: data[:-99], False), "3,501 bytes of voxels"),
    "wrong checksum": (
        stored(".nii.gz", lambda data: data[:-8] + bytes(4) + data[-4:]),
        "damaged",
    ),
    # Shape
    "two axes": (nifti({"dim": (2, 20, 90, 1, 1, 1, 1, 1)}), "three axes"),
    "four frames": (nifti(voxels=np.stack([GREY] * 4, -1)), r"\(20, 18, 5, 4\)"),
    "two slices": (nifti(voxels=GREY[:, :, :2]), "20 x 18 x 2"),
    "fifteen pixels": (nifti(voxels=GREY[:, :15]), "20 x 15 x 5"),
    "no axes": (nifti({"dim": (0, 20, 18, 5, 1, 1, 1, 1)}), "claims 0 axes"),
    "too many axes": (nifti({"dim": (9000, 20, 18, 5, 1, 1, 1, 1)}), "claims 9000 axes"),
    "negative extent": (nifti({"dim": (3, -20, 18, 5, 1, 1, 1, 1)}), "-20 x 18 x 5"),
    "huge": (nifti({"dim": (3, 30000, 30000, 30000, 1, 1, 1, 1)}), "at most 268,435,456"),
    "huge mha": (edited(".mha", (rb"DimSize = 20", b"DimSize = 99999999999999")), "at most"),
    "negative mha": (edited(".mha", (rb"DimSize = 20", b"DimSize = -20")), "-20"),
    "two numbers": (edited(".mha", (rb"DimSize = 20 18 5", b"DimSize = 20 18")), "3 numbers"),
    "half a voxel": (edited(".nrrd", (rb"sizes: 20", b"sizes: 20.5")), "whole numbers"),
    "flat mha": (edited(".mha", image=SLICE), "2 axes"),
    "flat nrrd": (edited(".nrrd", image=SLICE), "2 axes"),
    "frames in nrrd": (edited(".nrrd", image=FRAMES), "20, 18, 5, 3"),
    "frames in mha": (edited(".mha", image=FRAMES), "20, 18, 5, 3"),
    # What a voxel is
    "colours": (nifti(voxels=RGB), "colours"),
    "complex": (nifti(voxels=GREY.astype(np.complex64)), "complex"),
    "unknown type": (nifti({"datatype": 77}), "unknown type 77"),
    "vectors in mha": (edited(".mha", image=PAIRS), "2 values per"),
    "vectors in nrrd": (edited(".nrrd", image=PAIRS), "one grey"),
    "type in mha": (edited(".mha", (rb"MET_SHORT", b"MET_OTHER")), "MET_OTHER"),
    "type in nrrd": (edited(".nrrd", (rb"type: short", b"type: block")), "block"),
    "text voxels": (edited(".nrrd", (rb"encoding: raw", b"encoding: text")), "raw or gzip"),
    "text voxels in mha": (edited(".mha", (rb"Data = True", b"Data = False")), "binary"),
    "byte order": (edited(".nrrd", (rb"endian: little", b"endian: middle")), "middle"),
    # Grey values
    "constant": (nifti(voxels=np.full_like(GREY, 7)), "every voxel is 7"),
    "many NaN": (nifti(voxels=with_bad(2, at=557)), "2 of 1,800 voxels"),
    "many infinite": (nifti(voxels=with_bad(2, np.inf)), "2 of 1,800 voxels"),
    "all infinite": (nifti(voxels=np.full_like(FLOAT, np.inf)), "1,800 of 1,800"),
    "scaled out of range": (nifti({"scl_slope": 3e38}), "no finite numbers"),
    # Place
    "voxel size 0": (nifti(pixdim(0, 0.4, 1.5), codes=(1, 0)), "qform states voxel size 0 x 0.4"),
    "voxel size -1": (nifti(pixdim(-1, 0.4, 1.5), codes=(1, 0)), "voxel size -1 x 0.4 x 1.5 mm"),
    "voxel size NaN": (nifti(pixdim(np.nan, 1, 1), codes=(0, 0)), "voxel size nan"),
    "in metres": (nifti(pixdim(4e-4, 4e-4, 1e-3), codes=(0, 0)), "0.05 to 10 mm"),
    "in micrometres": (nifti(pixdim(400, 400, 1000), codes=(0, 0)), "0.05 to 10 mm"),
    "sform of zeros": (nifti({"srow_x": 0}, codes=(0, 1)), "sform states voxel size"),
    "sform of NaN": (nifti({"srow_x": np.nan}, codes=(0, 1)), "sform states voxel size nan"),
    "far away": (nifti({"qoffset_x": 1e9}, codes=(1, 0)), "first voxel at"),
    "sheared": (lambda f: save(f / "scan.nii", affine=SHEARED, codes=(0, 1)), "right angles"),
    "no rotation": (nifti({"quatern_b": 3}, codes=(1, 0)), "right angles"),
    "mha without size": (edited(".mha", (rb"ElementSpacing", b"Spacing")), "ElementSpacing"),
    "mha size 0": (edited(".mha", (rb"Spacing = 0.4\d*", b"Spacing = 0")), "voxel size 0 x"),
    "mha size NaN": (edited(".mha", (rb"Spacing = 0.4\d*", b"Spacing = nan")), "voxel size nan x"),
    "mha axes": (edited(".mha", (rb"Matrix = 0", b"Matrix = 1")), "right angles"),
    "nrrd axes": (edited(".nrrd", (rb"directions: \(0", b"directions: (1")), "right angles"),
    "nrrd words": (edited(".nrrd", (rb"directions: \(0", b"directions: (x")), "3 numbers"),
    "nrrd one direction": (edited(".nrrd", (rb"directions: .*", b"directions: (1,0,0)")), "3 axes"),
    # Where the voxels lie in the file
    "offset": (nifti({"vox_offset": 10}), "byte 10; expected 352"),
    "offset NaN": (nifti({"vox_offset": np.nan}), "byte nan"),
    "offset -1": (nifti({"vox_offset": -1}), "byte -1"),
    "offset huge": (nifti({"vox_offset": 1e30}), "byte 1e[+]30"),
    "offset behind": (nifti({"vox_offset": 352 + 3000}), "600 bytes of voxels"),
    "header size": (edited(".mha", (rb"\nElementType", b"\nHeaderSize = -1\nElementType")), "Size"),
    "skip": (edited(".nrrd", (rb"\nkinds", b"\nbyte skip: 900\nkinds")), "skip"),
    "another file": (
        edited(".mha", (rb"DataFile = LOCAL", b"DataFile = /etc/passwd")),
        "another file .'/etc/passwd'",
    ),
    "a list of files": (edited(".mha", (rb"DataFile = LOCAL", b"DataFile = LIST")), "another file"),
    "another nrrd": (
        edited(".nrrd", (rb"\nkinds", b"\ndata file: ../x.raw\nkinds")),
        "another file .'../x.raw'",
    ),
    "list of nrrd": (edited(".nrrd", (rb"\nkinds", b"\ndatafile: LIST\nkinds")), "another file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_one_sound_scan_is_refused_in_a_line_that_names_the_file(tmp_path, capfd, kind):
    make, reason = REFUSED[kind]
    path = make(tmp_path)
    capfd.readouterr()  # what the maker said

    with pytest.raises(ScanError, match=f"{re.escape(str(path))}: .*({reason})") as caught:
        read_scan(path)

    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert capfd.readouterr() == ("", "")
