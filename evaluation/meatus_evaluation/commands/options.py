"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from meatus.engines import DEVICES
from meatus.ensemble import Quality
from meatus.pipeline import DEFAULT_WEIGHTS

ANY = click.Path(path_type=Path)  # whoever opens it tells what is wrong with it in one line

json_option = click.option("--json", "json_file", type=ANY, help="Write all numbers.")
scheme_option = click.option("--scheme", type=click.Choice(["2023", "2022"]), default=None)
bootstrap_option = click.option(
    "--bootstrap", type=click.IntRange(min=1), default=1000, show_default=True, help="Resamples."
)
seed_option = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
resample_option = click.option(
    "--resample", is_flag=True, help="Put maps on another grid onto the reference's."
)
weights_option = click.option("--weights", type=ANY, default=DEFAULT_WEIGHTS)
device_option = click.option("--device", type=click.Choice(DEVICES), default="auto")
quality_option = click.option("--quality", type=click.Choice(get_args(Quality)), default=None)
