"""Class numbers and names of the crossMoDA 2023 label map, defined once."""

from __future__ import annotations

from enum import IntEnum


class Structure(IntEnum):
    """A class of the label map; the value is both its label and its channel."""

    BACKGROUND = 0
    EXTRA_MEATAL = 1
    INTRA_MEATAL = 2
    COCHLEA = 3


CLASS_NAMES = ("background", "extra_meatal", "intra_meatal", "cochlea")
LABEL_NAMES = {
    Structure.EXTRA_MEATAL: "Vestibular schwannoma, extra-meatal part",
    Structure.INTRA_MEATAL: "Vestibular schwannoma, intra-meatal part",
    Structure.COCHLEA: "Cochlea",
}
# The challenge's red, green and blue, light enough to be seen on dark tissue.
RGB = {
    Structure.EXTRA_MEATAL: (255, 64, 64),
    Structure.INTRA_MEATAL: (64, 255, 64),
    Structure.COCHLEA: (64, 160, 255),
}
TUMOUR = (Structure.EXTRA_MEATAL, Structure.INTRA_MEATAL)
