"""Small scans of random grey values, and label maps for them."""

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from meatus.volumes import Labels

GREY = np.random.default_rng(0).integers(0, 900, (20, 18, 5)).astype(np.int16)  # x, y, z
COS, SIN = np.cos(0.2), np.sin(0.2)
TILTED = np.array(
    [
        [-0.4, 0, 0, 90],
        [0, 0.4 * COS, -1.5 * SIN, -80],
        [0, 0.4 * SIN, 1.5 * COS, 4],
        [0, 0, 0, 1],
    ]
)


def save(path, voxels=GREY, affine=TILTED, codes=(1, 1)):
    image = nib.Nifti1Image(voxels, affine)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    image.header["descrip"] = b"as exported"
    nib.save(image, path)
    return path


def oblique(voxels):
    """A volume whose axes are shuffled, flipped and turned."""
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.4, 0.5, 1.5))
    image.SetOrigin((10, -20.5, 30))
    image.SetDirection((0, -COS, SIN, 1, 0, 0, 0, SIN, COS))
    return image


def labels_of(scan):
    voxels = (np.arange(scan.voxels.size).reshape(scan.voxels.shape) % 4).astype(np.uint8)
    return Labels(voxels, scan.geometry, scan.header)
