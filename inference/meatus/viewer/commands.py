"""``meatus view``: the page on this machine."""

from __future__ import annotations

import getpass
import secrets
import socket
import webbrowser
from pathlib import Path
from typing import get_args

import click

from meatus.cli import device_option, models_option, weights_option
from meatus.engines import Device
from meatus.ensemble import Quality
from meatus.errors import UsageError
from meatus.models.store import find_weights
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.service.cases import Case
from meatus.service.commands import one_line_errors
from meatus.service.inputs import find_inputs
from meatus.service.output_folder import open_output_folder
from meatus.service.request import Request

HOST = "127.0.0.1"
MISSING = "meatus view needs FastAPI and uvicorn; pip install 'meatus[serve]'"


def default_author() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


@click.command(short_help="Look at results, correct labels, label scans: a page on this machine.")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--scans",
    type=click.Path(path_type=Path),
    help="The INPUT of meatus predict. Default: scans that were dragged into the page.",
)
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the report: flags of all cases, and rows of those that are labelled here.",
)
@click.option(
    "--author", default=default_author, show_default="the user's name", help="Who corrects."
)
@weights_option
@models_option
@device_option
@click.option("--quality", type=click.Choice(get_args(Quality)), help="As of meatus predict.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any that is free")
@click.option("--browser/--no-browser", default=True, help="Open the page in the usual browser.")
@one_line_errors
def view(
    out: Path,
    scans: Path | None,
    report: Path | None,
    author: str,
    weights: Path | None,
    models: Path,
    device: Device,
    quality: Quality | None,
    port: int,
    browser: bool,
) -> None:
    """Show the results in OUT on a page that this machine alone can open.

    A corrected label map is written as OUT/<case>_corrected.nii.gz; scans that are dragged into the
    page lie in OUT/scans. Ends with Ctrl-C.
    """
    try:
        import uvicorn

        from meatus.viewer.app import make_app
        from meatus.viewer.incoming import SCANS, Incoming
        from meatus.viewer.results import Results
    except ImportError as error:
        raise UsageError(f"{MISSING} ({error.name} is missing).") from error
    if report is not None and not report.is_dir():
        raise UsageError(f"{report} does not exist. Pass the folder that --report wrote, or none.")
    chosen = find_weights(weights, models) if weights else DEFAULT_WEIGHTS
    results = Results(report, author)
    for folder in (scans, out / SCANS):
        if folder is not None and (folder == scans or _holds_any(folder)):
            results.add(_cases(folder, out))
    with open_output_folder(out) as own, _listening(port) as listener:
        request = Request(out, out, device=device, quality=quality, report=report)
        token, number = secrets.token_urlsafe(24), listener.getsockname()[1]
        app = make_app(results, Incoming(request, chosen, own, results), token, number)
        address = f"http://{HOST}:{number}/{token}/"
        print(f"{len(results.cases)} cases; open {address}", flush=True)
        print("Whoever has this address can see and change the labels. Ctrl-C ends it.", flush=True)
        if browser:
            webbrowser.open(address)
        config = uvicorn.Config(app, log_level="error", access_log=False, server_header=False)
        uvicorn.Server(config).run([listener])


def _holds_any(folder: Path) -> bool:
    return folder.is_dir() and any(not file.name.startswith(".") for file in folder.iterdir())


def _cases(folder: Path, out: Path) -> list[Case]:
    """Of dragged-in studies, which are archives, and of all other scans of ``folder``."""
    archives = sorted(folder.glob("*.zip")) if folder.is_dir() else []
    found: list[Case] = []
    for source in (folder, *archives):
        if source in archives or _is_source(folder, archives):
            found += find_inputs(source, out, lambda _line: None).cases
    return found


def _is_source(folder: Path, archives: list[Path]) -> bool:
    """Whether there is something beside the archives."""
    return not folder.is_dir() or len(list(folder.iterdir())) > len(archives) or not archives


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"port {port} cannot be had ({error.strerror}). Name another --port, or none."
        ) from error
    listener.listen()
    return listener
