"""What the page can ask for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from meatus import __version__
from meatus.atomic import written_whole
from meatus.errors import MeatusError, UsageError
from meatus.viewer.guard import Guard
from meatus.viewer.incoming import Incoming
from meatus.viewer.results import Results, check_grid
from meatus.viewer.volumes import label_bytes, scan_bytes

PAGE = Path(__file__).parent / "page"
FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "viewer.css": ("viewer.css", "text/css; charset=utf-8"),
    "viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "niivue.umd.js": ("niivue.umd.js", "text/javascript; charset=utf-8"),
    "niivue.LICENSE.txt": ("niivue.LICENSE.txt", "text/plain; charset=utf-8"),
}
LARGEST_SCAN = 4 * 2**30  # bytes; studies of more are labelled by 'meatus predict'
LARGEST_MAP = 2**30  # voxels
BYTES = "application/octet-stream"


def make_app(results: Results, incoming: Incoming, token: str, port: int) -> Guard:
    """The application behind its guard, for the address ``http://127.0.0.1:<port>/<token>/``."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    @app.exception_handler(MeatusError)
    def refuse(_request: Request, error: MeatusError) -> JSONResponse:
        return JSONResponse({"error": " ".join(str(error).split())}, status_code=422)

    @app.get("/")
    @app.get("/{name}")
    def page(name: str = "") -> Response:
        if name not in FILES:
            return Response("no such file\n", status_code=404, media_type="text/plain")
        file, kind = FILES[name]
        return Response((PAGE / file).read_bytes(), media_type=kind)

    @app.get("/api/cases")
    def cases() -> dict[str, Any]:
        queue = [asdict(entry) for entry in results.queue()]
        progress = [asdict(told) for told in incoming.progress()]
        return {"cases": queue, "incoming": progress, "author": results.author} | {
            "version": __version__
        }

    @app.get("/api/incoming")
    def progress() -> list[dict[str, Any]]:
        return [asdict(told) for told in incoming.progress()]

    @app.get("/api/scan.nii")
    def scan(case: str) -> Response:
        return Response(scan_bytes(results.scan(case)), media_type=BYTES)

    @app.get("/api/labels")
    def labels(case: str) -> Response:
        found = results.labels(case)
        check_grid(results.scan(case), found, case)
        return Response(label_bytes(found.voxels, found.geometry), media_type=BYTES)

    @app.post("/api/labels")
    async def correct(case: str, request: Request) -> dict[str, Any]:
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > LARGEST_MAP:
                raise UsageError("more voxels than a scan has; nothing was kept.")
        return asdict(await run_in_threadpool(results.correct, case, bytes(content)))

    @app.post("/api/scans")
    async def take(name: str, request: Request) -> dict[str, Any]:
        place, size = incoming.place(name), 0
        with written_whole(place) as unfinished, unfinished.open("wb") as file:
            async for part in request.stream():
                size += len(part)
                if size > LARGEST_SCAN:
                    raise UsageError(f"{name} is larger than a scan may be; nothing was kept.")
                file.write(part)
        return asdict(await run_in_threadpool(incoming.take, place))

    return Guard(app, token, port)
