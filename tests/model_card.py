"""Writes weights/MODEL_CARD.md from the manifest beside it: ``python -m tests.model_card``."""

from meatus.models.card import CARD, model_card
from meatus.pipeline import DEFAULT_WEIGHTS

PAGE = DEFAULT_WEIGHTS / CARD

if __name__ == "__main__":
    PAGE.write_text(model_card(DEFAULT_WEIGHTS), encoding="utf-8")
    print(f"{PAGE} is written")
