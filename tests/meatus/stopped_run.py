"""The command, held in one of its stages: ``python -m tests.meatus.stopped_run STAGE READY ...``

It writes its number to the file READY there and waits to be killed. With ``--jobs``, the first of
the processes that comes to the stage does.
"""

import hashlib
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import meatus.atomic
import meatus.cli
import meatus.dicom.seg
import meatus.pipeline
import meatus.report.figures
import meatus.report.pages
import meatus.report.tables
import meatus.service.batch
import meatus.service.labelling
import meatus.service.recorder
from meatus.ensemble import Model
from meatus.service.output_folder import OutputFolder

HELD_S = 60


def hold(ready, *_, wait=lambda: time.sleep(HELD_S)):
    with suppress(FileExistsError), ready.open("x") as file:
        print(os.getpid(), file=file, flush=True)
        wait()


def hold_in_compiled_code(ready, *_):
    """As a network's pass does: Python's own signal handlers do not get their turn."""
    hold(ready, wait=lambda: hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1))


def hold_with_half_a_file(ready, output, *_):
    (output.folder / ".0123456789abcdef.part").write_bytes(b"half a res")
    hold(ready)


def hold_with_half_a_page(ready, path, *_):
    path.touch()
    hold(ready)


# Where each stage is called, in which of its calls it is held, and how.
STAGES = {
    "loading weights": (meatus.service.labelling, "load_model", 1, hold),
    "reading": (meatus.service.batch, "read_scan", 4, hold),
    "preparing": (meatus.pipeline, "prepare", 3, hold),
    "in the network": (meatus.pipeline, "predict", 3, hold_in_compiled_code),
    "restoring": (meatus.pipeline, "restore", 3, hold),
    "cleaning": (meatus.pipeline, "clean_and_tell", 3, hold),
    "between two cases": (Model, "release", 3, hold),
    "writing": (OutputFolder, "put", 3, hold_with_half_a_file),
    "before the file takes its name": (meatus.atomic.os, "fsync", 3, hold),
}
# With a report, and of a DICOM study.
REPORTING = {
    "its tables": (meatus.report.tables, "write_report", 2, hold),
    "a case's file": (meatus.service.recorder, "write_case", 3, hold),
    "a picture": (meatus.report.figures, "draw_case", 3, hold),
    "a page": (meatus.report.pages, "write_case_page", 3, hold),
    "within a file": (meatus.atomic.Path, "write_bytes", 9, hold_with_half_a_page),
}
OBJECTS = {
    "segments": (meatus.dicom.seg, "segmentation", 1, hold),
    "an object": (OutputFolder, "put_bytes", 2, hold),
    "the label map": (OutputFolder, "put", 1, hold_with_half_a_file),
}
# Of a DICOM study by several processes, in the second case of either: of three cases, one has two.
SHARED = {
    "one is in the network": (meatus.pipeline, "predict", 2, hold_in_compiled_code),
    "one writes an object": (OutputFolder, "put_bytes", 3, hold),
    "one names a label map": (meatus.atomic.os, "fsync", 4, hold),
    "one reports": (meatus.service.recorder, "write_case", 2, hold),
    "the first makes tables": (meatus.report.tables, "write_report", 2, hold),
}


def hold_in(stage, ready):
    place, name, held_call, held = (STAGES | REPORTING | OBJECTS | SHARED)[stage]
    inner, calls = getattr(place, name), []

    def step(*arguments, **named):
        calls.append(name)
        if len(calls) == held_call:
            held(ready, *arguments)
        return inner(*arguments, **named)

    setattr(place, name, step)


if __name__ in ("__main__", "__mp_main__"):  # the latter in a process that takes a share
    hold_in(sys.argv[1], Path(sys.argv[2]))

if __name__ == "__main__":
    # A shell that runs the tests in the background has children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    meatus.cli.main(sys.argv[3:])
