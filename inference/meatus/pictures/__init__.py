"""One picture per case. Loads matplotlib, so import it only where pictures are wanted."""

from meatus.pictures.page import draw_case

__all__ = ["draw_case"]
