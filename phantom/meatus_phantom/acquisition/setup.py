"""Everything that is decided about a scan before it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from meatus.geometry import Geometry
from meatus_phantom.signal.sequences import Protocol

Modality = Literal["ceT1", "hrT2"]
Value = str | float | int | bool


@dataclass(frozen=True)
class Effects:
    """Strengths of the scanner's effects; the defaults are a perfect scanner."""

    bias_sd: float = 0.0  # of the logarithm of the receive field
    bias_mm: float = 50.0  # width of its bumps
    coil_gain: float = 1.0  # at the head's surface, against its centre
    noise_to_brain: float = 0.0  # SD of each of the two channels against the pons' signal
    slice_fwhm: float = 0.0  # in slices
    kept_phase: float = 1.0  # share of k-space that is acquired, per axis
    kept_read: float = 1.0
    hann: float = 0.0  # 0 none, 1 a full Hann window over what is acquired
    ghost: float = 0.0  # strength of the first replica of pulsating bright structures
    ghost_step: float = 0.1  # its distance in fields of view
    motion_deg: float = 0.0
    motion_mm: tuple[float, float] = (0.0, 0.0)  # along x and y of the grid
    motion_share: float = 0.0  # of the phase-encoding steps, acquired after the head moved
    read_along_x: bool = True
    fat_shift_mm: float = 0.0  # along the readout
    wrap_voxels: int = 0  # voxels beyond either end of the phase axis that fold in
    blank_voxels: tuple[int, int, int, int] = (0, 0, 0, 0)  # x low, x high, y low, y high
    air_field_hz: float = 0.0  # largest error of the field beside air
    smooth_field_hz: float = 0.0  # SD of the rest of the error
    air_t2_star_ms: float = 0.0  # T2* beside air; 0 for sequences that do not feel it
    flow_prepontine: float = 0.0  # share of CSF signal lost
    flow_ventricle: float = 0.0
    brain_value: float = 300.0  # stored intensity of the pons
    largest_value: float = 5000.0  # the brightest tissue is stored no higher, coil profile apart


@dataclass(frozen=True)
class Deface:
    """How the face was hidden. ``cut``: zeros; ``blur``: a grey blur over the front."""

    kind: Literal["cut", "blur"]
    front_mm: float  # where it begins, anterior of the scanner's origin
    half_width_mm: float
    slant: float = 0.0  # growth of the half width per mm forwards
    tilt_deg: float = 0.0
    grey: float = 1.5  # brightness of the blur against brain


@dataclass(frozen=True)
class Setup:
    """One scan of one site."""

    site: str
    modality: Modality
    field_tesla: float
    protocol: Protocol
    gadolinium: bool
    geometry: Geometry  # of the file
    effects: Effects
    frame: bool = False  # a stereotactic frame is worn
    deface: Deface | None = None

    @property
    def rendered(self) -> Geometry:
        """The grid to render: wider than the file's where the head wraps around."""
        width = self.effects.wrap_voxels
        x, y, z = self.geometry.size
        if self.effects.read_along_x:
            return self.geometry.crop((0, -width, 0), (x, y + 2 * width, z))
        return self.geometry.crop((-width, 0, 0), (x + 2 * width, y, z))

    def describe(self) -> dict[str, Value]:
        """Every decision by name, flat, for a table of the cohort."""
        flat: dict[str, Value] = {
            "site": self.site,
            "modality": self.modality,
            "field_tesla": self.field_tesla,
            "sequence": type(self.protocol).__name__,
            "gadolinium": self.gadolinium,
            "frame": self.frame,
            "deface": self.deface.kind if self.deface else "none",
        }
        parts = [("geometry", asdict(self.geometry)), ("protocol", asdict(self.protocol))]
        parts.append(("effect", asdict(self.effects)))
        if self.deface:
            parts.append(("deface", asdict(self.deface)))
        for prefix, part in parts:
            for name, value in part.items():
                flat[f"{prefix}_{name}"] = _plain(value)
        return flat


def _plain(value: object) -> Value:
    if isinstance(value, tuple):
        return " ".join(str(_plain(item)) for item in value)
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, str | int):
        return value
    return str(value)
