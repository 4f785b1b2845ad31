"""Puts the shipped weights, which lie beside this folder, into what is built from it."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Weights(BuildHookInterface):  # type: ignore[type-arg]
    """An sdist has them in their place already; an editable install finds the repository's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        weights = Path(self.root).parent / "weights"
        if version == "editable" or not weights.is_dir():
            return
        told = (weights / "manifest.json", *weights.glob("MODEL_CARD.md"))
        for file in (*told, *sorted(weights.glob("*.onnx"))):
            build_data["force_include"][str(file)] = f"meatus/shipped_weights/{file.name}"
