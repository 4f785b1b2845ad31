"""The tissues of the phantom: one number each, the same in every tissue map and signal table."""

from __future__ import annotations

from enum import IntEnum


class Tissue(IntEnum):
    """What fills a voxel. The order is the order of the signal tables' rows."""

    AIR = 0
    BONE = 1  # cortical: no signal
    MARROW = 2  # clivus, petrous apex, diploe, condyle
    FAT = 3
    SKIN = 4
    MUSCLE = 5
    DURA = 6
    MUCOSA = 7
    EFFUSION = 8  # fluid in mastoid cells and sinuses
    CSF = 9
    PERILYMPH = 10  # healthy inner ear
    PERILYMPH_AFFECTED = 11  # inner ear on the tumour's side: CISS signal may be lower
    MODIOLUS = 12  # and the septa of the cochlea: mostly bone
    GREY = 13  # cerebral cortex
    WHITE = 14
    PONS = 15  # brainstem and middle cerebellar peduncle
    CEREBELLAR_CORTEX = 16
    CEREBELLAR_WHITE = 17
    DENTATE = 18
    EDEMA = 19  # of the peduncle beside a large tumour
    NERVE = 20
    ARTERY = 21  # fast flow: void on TSE, inflow on ceT1
    VEIN = 22  # sinuses and bulbs
    VITREOUS = 23
    LENS = 24
    TUMOUR = 25
    TUMOUR_CORE = 26  # less perfused: darker on ceT1
    TUMOUR_CYST = 27
    MICROBLEED = 28
    FRAME = 29  # fluid in the rods of a stereotactic frame
