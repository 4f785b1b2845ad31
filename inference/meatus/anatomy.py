"""What is known of ears and of tumours by them: ranges and limits, each with its source.

Lengths are in millimetres, volumes in cubic millimetres; a range is its lowest and highest value.
"crossMoDA 2023" stands for the challenge's 227 labelled scans.
"""

from __future__ import annotations

from typing import TypeAlias

Range: TypeAlias = tuple[float, float]

# Between the middles of the two cochleas, as measured in adults.
COCHLEAS_APART_MM: Range = (70.0, 78.0)
# The same with room for children and for a cochlea of which a turn was missed: what lies outside
# is no pair of ears to the cleaning of labels, and is flagged.
COCHLEAS_APART_USUAL_MM: Range = (60.0, 90.0)
# And with room for what a network trained on few scans finds: what lies outside is no label to
# learn from.
COCHLEAS_APART_POSSIBLE_MM: Range = (45.0, 95.0)
# By how much the line between the ears is turned or tilted against the patient's left-right axis at
# most, as heads lie in scanners: what is turned more is no pair of ears.
EARS_TURNED_DEG = 30.0
# Where places of cochleas span less, they are of one ear: past the midline, with room on either
# side.
ONE_EAR_MM = 40.0

# The canal (internal auditory meatus) is 8 to 14 mm long, and its far end touches the cochlea.
CANAL_MM: Range = (8.0, 14.0)
# From the middle of a tumour's part in the canal to the middle of the cochlea of its side.
CANAL_TO_COCHLEA_MM: Range = (3.0, 25.0)
# From a tumour to the nearest cochlea. Of 121 public contours of both (TCIA
# Vestibular-Schwannoma-SEG) the farthest are 9 mm apart.
TUMOUR_TO_COCHLEA_MM = 20.0
# A tumour that comes no nearer to the cochlea than twice the canal's length did not grow from it.
FAR_FROM_EAR_MM = 2 * CANAL_MM[1]

# The cochlea's duct is so wide: the gap in a label map where one turn was missed.
COCHLEAR_DUCT_MM = 2.0

# Smallest and largest volumes in crossMoDA 2023.
EXTRA_MEATAL_MM3: Range = (0.0, 26_950.0)
INTRA_MEATAL_MM3: Range = (20.0, 930.0)
BOTH_COCHLEAE_MM3: Range = (70.0, 380.0)
# Half of the smallest labelled tumour. What is expected of tumour in a scan without any mark is
# noise where it is less.
SMALLEST_TUMOUR_MM3 = INTRA_MEATAL_MM3[0] / 2
# Of a cochlea's largest component: under a third of the smallest per side.
SMALLEST_COCHLEA_MM3 = 10.0

# Of heads, or of what is left once the skull is painted out: ear to ear, and nose or forehead to
# the back. What is narrower or longer is no whole head, or has an arm or a frame beside it.
HEAD_WIDTH_MM: Range = (110.0, 210.0)
HEAD_LENGTH_MM: Range = (130.0, 260.0)
# The canal opens 10 to 15 mm from the midline and ends at the cochlea, 39 mm off at most; a tumour
# grows from it towards the midline. In a head that is turned by EARS_TURNED_DEG the ears, 25 mm
# behind the middle at most, lie 13 mm farther to one side.
TUMOUR_FROM_MIDLINE_MM: Range = (-52.0, 52.0)
# In front of and behind the middle of the head's length, which the canals lie near: up to 25 mm
# behind it where it is level, in front of it where the chin is on the chest. A tumour reaches 20 mm
# about them. The frontal lobe, the eyes and the nose lie farther in front.
TUMOUR_BEHIND_MIDDLE_MM: Range = (-45.0, 70.0)
# The canals lie about 110 mm below the vertex.
TUMOUR_BELOW_VERTEX_MM = 60.0
# By how much the other ear may lie higher or lower, in front of or behind the mirrored place of
# one: ten degrees of tilt over the width between them.
EARS_UNLIKE_MM = 15.0
