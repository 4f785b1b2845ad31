"""DICOM studies in; segmentations, reports and structure sets out.

Nothing here is imported until a DICOM file is met: pydicom, highdicom and SimpleITK take a second
to load.
"""
