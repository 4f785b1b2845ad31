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
TUMOUR = (Structure.EXTRA_MEATAL, Structure.INTRA_MEATAL)
