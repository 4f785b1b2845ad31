"""Makers of small scans with one thing wrong; each takes a folder and gives the file's path."""

import re

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from tests.meatus.scan_files import GREY, oblique, save

FLOAT = GREY.astype(np.float32)


def nifti(change=None, voxels=GREY, codes=(1, 1)):
    """Maker of scan.nii whose header fields, by name, are overwritten."""

    def make(folder):
        path = save(folder / "scan.nii", voxels, codes=codes)
        whole = path.read_bytes()
        header = nib.Nifti1Header(whole[:348], check=False)
        for name, value in (change or {}).items():
            header[name] = value
        path.write_bytes(header.binaryblock + whole[348:])
        return path

    return make


def contents(name, data):
    def make(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return make


def edited(suffix, *changes, image=None, compressed=False):
    """Maker of a MetaImage or NRRD file whose text is replaced."""

    def make(folder):
        path = folder / f"scan{suffix}"
        sitk.WriteImage(image or oblique(GREY.T), path, useCompression=compressed)
        whole = path.read_bytes()
        for old, new in changes:
            assert re.search(old, whole)
            whole = re.sub(old, new, whole, count=1)
        path.write_bytes(whole)
        return path

    return make


def stored(suffix, edit, compressed=True):
    """Maker of a file whose bytes went through ``edit``."""

    def make(folder):
        path = folder / f"scan{suffix}"
        sitk.WriteImage(oblique(GREY.T), path, useCompression=compressed)
        path.write_bytes(edit(path.read_bytes()))
        return path

    return make


def pixdim(*values):
    return {"pixdim": (1, *values, 0, 0, 0, 0)}


def with_bad(count, value=np.nan, at=5):
    """From the voxel ``at`` on: 5 lies at the border, 557 inside."""
    voxels = FLOAT.copy()
    voxels.ravel()[at : at + count] = value
    return voxels
