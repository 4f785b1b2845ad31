"""What the pipeline asks of a runtime."""

from __future__ import annotations

from typing import Protocol

from meatus.geometry import Array


class Engine(Protocol):
    """One network, loaded. Holds the runtime's session, nothing else."""

    name: str  # for the user: runtime, device and precision, e.g. "OpenVINO CPU bf16"

    def __call__(self, window: Array) -> Array:
        """(Z, Y, X) intensities in [-1, 1] to (C, Z, Y, X) probabilities that sum to one."""

    def release(self) -> None:
        """Give memory of intermediate results back, between two cases."""
