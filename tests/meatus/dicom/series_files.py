"""Small DICOM series, written with pydicom: a head with two bright balls for ears."""

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

COS, SIN = np.cos(0.25), np.sin(0.25)
AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)
OBLIQUE = (COS, SIN, 0, -SIN * COS, COS * COS, SIN)
PLANES = {"axial": AXIAL, "coronal": CORONAL, "sagittal": SAGITTAL, "oblique": OBLIQUE}

STEP_MM = 1.5
PATIENT = "Doe^Jane"
WIDTH = 72  # pixels of 1 mm


def head(slices=8, seed=0):
    """(Z, Y, X) int16, grey noise with a bright ball at either side."""
    z, y, x = np.mgrid[:slices, : WIDTH - 8, :WIDTH]
    voxels = np.random.default_rng(seed).integers(90, 120, z.shape)
    for centre in (16, 56):
        voxels[(x - centre) ** 2 + (y - 34) ** 2 + 4 * (z - slices // 2) ** 2 < 16] = 1000
    return voxels.astype(np.int16)


def uid():
    return generate_uid(prefix=None)


def _header(study, series, number, description, frame_of_reference, shape):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPInstanceUID = uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyDate, dataset.StudyTime = "20240301", "101500"
    dataset.AccessionNumber, dataset.StudyID = "A17", "S1"
    dataset.ReferringPhysicianName = "Roe^Richard"
    dataset.StudyDescription = "MRI of the ears"
    dataset.PatientName, dataset.PatientID = PATIENT, "P-4711"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.FrameOfReferenceUID = frame_of_reference
    dataset.SeriesNumber, dataset.SeriesDescription = number, description
    dataset.Modality, dataset.Manufacturer = "MR", "Meatus tests"
    dataset.PositionReferenceIndicator = ""
    dataset.Rows, dataset.Columns = shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    return dataset


def series(
    voxels,
    *,
    axes=AXIAL,
    origin=(-36.0, -32.0, -5.0),
    spacing=(1.0, 1.0, STEP_MM),
    description="AX T2 CISS",
    number=6,
    study="",
    series="",
    frame_of_reference="",
    along=(0.0, 0.0),
    slope=None,
    signed=False,
    **tags,
):
    """A classic data set for each slice. ``along``: mm that each lies further in its plane."""
    study, series, place = study or uid(), series or uid(), frame_of_reference or uid()
    row, column = np.array(axes[:3], float), np.array(axes[3:], float)
    step = np.cross(row, column) * spacing[2] + row * along[0] + column * along[1]
    made = []
    for n, pixels in enumerate(voxels):
        dataset = _header(study, series, number, description, place, pixels.shape)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        dataset.ScanningSequence, dataset.SequenceVariant = "SE", "SK"
        dataset.ScanOptions, dataset.MRAcquisitionType = "", "3D"
        dataset.RepetitionTime, dataset.EchoTime, dataset.EchoTrainLength = "4000", "120", "20"
        dataset.SliceThickness = str(spacing[2])
        dataset.InstanceNumber, dataset.AcquisitionNumber = n + 1, 1
        dataset.ImageOrientationPatient = [f"{value:.12g}" for value in axes]
        position = np.array(origin) + n * step
        dataset.ImagePositionPatient = [f"{value:.12g}" for value in position]
        dataset.PixelSpacing = [spacing[1], spacing[0]]
        dataset.PixelRepresentation = int(signed)
        if slope is not None:
            dataset.RescaleSlope, dataset.RescaleIntercept = slope
            dataset.RescaleType = "US"
        dataset.PixelData = pixels.astype("<i2" if signed else "<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        made.append(dataset)
    return made


def enhanced(voxels, *, order=None, scales=None, spacing=(1.0, 1.0, STEP_MM), **options):
    """One multi-frame data set; ``order`` is how frames stand in it, ``scales`` one for each."""
    classic = series(voxels, spacing=spacing, **options)
    first, count = classic[0], len(classic)
    order = range(count) if order is None else order
    dataset = _header(
        first.StudyInstanceUID, first.SeriesInstanceUID, first.SeriesNumber,
        first.SeriesDescription, first.FrameOfReferenceUID, voxels.shape[1:],
    )  # fmt: skip
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    dataset.NumberOfFrames, dataset.InstanceNumber = count, 1
    dataset.PixelRepresentation, dataset.MRAcquisitionType = 0, "3D"
    dataset.AcquisitionContrast = "T2"
    dataset.SharedFunctionalGroupsSequence = [Dataset()]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [spacing[1], spacing[0]]
    shared.PixelMeasuresSequence[0].SliceThickness = spacing[2]
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = first.ImageOrientationPatient
    shared.MREchoSequence = [Dataset()]
    shared.MREchoSequence[0].EffectiveEchoTime = 120.0
    dataset.PerFrameFunctionalGroupsSequence = []
    for place, n in enumerate(order):
        frame = Dataset()
        frame.PlanePositionSequence = [Dataset()]
        frame.PlanePositionSequence[0].ImagePositionPatient = classic[n].ImagePositionPatient
        frame.FrameContentSequence = [Dataset()]
        frame.FrameContentSequence[0].StackID = "1"
        frame.FrameContentSequence[0].InStackPositionNumber = int(n) + 1
        frame.FrameContentSequence[0].DimensionIndexValues = [1, int(n) + 1]
        if scales is not None:
            frame.PixelValueTransformationSequence = [Dataset()]
            frame.PixelValueTransformationSequence[0].RescaleSlope = scales[place]
            frame.PixelValueTransformationSequence[0].RescaleIntercept = 0
            frame.PixelValueTransformationSequence[0].RescaleType = "US"
        dataset.PerFrameFunctionalGroupsSequence.append(frame)
    dataset.PixelData = voxels[list(order)].astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def save(datasets, folder, suffix=".dcm", syntax=None, prefix="IM"):
    """The files, named against the order of the slices so that nothing can rest on names."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for n, dataset in enumerate(datasets):
        if syntax is not None:
            dataset.compress(syntax, generate_instance_uid=False)
        files.append(folder / f"{prefix}{len(datasets) - n:03d}{suffix}")
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


def save_series(folder, voxels=None, suffix=".dcm", syntax=None, **options):
    return save(series(head() if voxels is None else voxels, **options), folder, suffix, syntax)


def change(file, **tags):
    """Change tags of a saved file; None removes one."""
    dataset = pydicom.dcmread(file)
    for keyword, value in tags.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(file)
