"""The viewer in a browser that people use: open, draw, undo, erase, save; compare voxels."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from tests.meatus.tiny_runs import save_scan, write_weights
from tests.meatus.viewer.server import viewer
from tests.programs import program

COUNT = "() => { const n = [0, 0, 0, 0]; nv.drawBitmap.forEach((v) => n[v]++); return n; }"
BITMAP = "() => Array.from(nv.drawBitmap)"
AXIAL = "() => nv.screenSlices.find((slice) => slice.axCorSag === 0).leftTopWidthHeight"
PATIENCE_MS = 120_000
OPTIONS = [  # a window without a graphics card
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]  # fmt: skip


@pytest.fixture
def page(tmp_path):
    """The browser's page, what it asked for, and the folder of the results."""
    browser = program("chromium", "chromium")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright is here: pip install playwright"
    )
    weights = write_weights(tmp_path)
    (tmp_path / "in").mkdir()
    save_scan(tmp_path / "in" / "a_T2.nii.gz")
    empty = nib.load(tmp_path / "in" / "a_T2.nii.gz")
    (tmp_path / "out").mkdir()
    blank = np.zeros(empty.shape, np.uint8)
    blank[60:64, 60:64, 6] = 2
    nib.save(nib.Nifti1Image(blank, empty.affine), tmp_path / "out" / "a.nii.gz")
    asked, errors = [], []
    with (
        viewer(tmp_path / "out", tmp_path / "in", weights) as server,
        playwright.sync_playwright() as engine,
    ):
        running = engine.chromium.launch(executable_path=shutil.which(browser), args=OPTIONS)
        shown = running.new_page(viewport={"width": 1200, "height": 800})
        shown.set_default_timeout(PATIENCE_MS)
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
        shown.goto(server.address)
        shown.wait_for_selector("#save:enabled")
        yield shown, tmp_path / "out"
        running.close()
        own = f"http://127.0.0.1:{server.port}/"
        assert [url for url in asked if not url.startswith((own, "data:", "blob:"))] == []
        assert errors == []


def stroke(shown, start, end):
    """A stroke on the axial slice; places are shares of its width and height."""
    left, top, width, height = shown.evaluate(AXIAL)
    box = shown.query_selector("#canvas").bounding_box()

    def to(place):
        x, y = place
        shown.mouse.move(box["x"] + left + x * width, box["y"] + top + y * height)

    to(start)
    shown.mouse.down()
    to(((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    to(end)
    shown.mouse.up()
    shown.wait_for_timeout(300)


def test_what_is_drawn_is_what_is_saved(page):
    shown, out = page
    before = shown.evaluate(COUNT)
    assert before[1:] == [0, 16, 0]

    shown.click("[data-label='3']")
    stroke(shown, (0.2, 0.25), (0.3, 0.25))
    drawn = shown.evaluate(COUNT)
    assert drawn[3] > 10
    shown.click("#undo")
    assert shown.evaluate(COUNT) == before
    stroke(shown, (0.2, 0.25), (0.3, 0.25))
    shown.click("[data-mode='eraser']")
    stroke(shown, (0.2, 0.25), (0.22, 0.25))
    erased = shown.evaluate(COUNT)
    assert 0 < erased[3] < drawn[3]

    shown.click("#save")
    shown.wait_for_selector("#message.good")
    canvas = np.array(shown.evaluate(BITMAP), np.uint8).reshape(12, 120, 120)
    saved = nib.load(out / "a_corrected.nii.gz")
    seen = nib.as_closest_canonical(saved).get_fdata().transpose(2, 1, 0)
    np.testing.assert_array_equal(seen, canvas)
    np.testing.assert_array_equal(saved.affine, nib.load(out / "a.nii.gz").affine)
    assert "corrected by Ada" in shown.text_content("#cases")
    # The left of the picture is the patient's right: -x of the file's RAS millimetres is left.
    right = saved.affine @ [*np.argwhere(saved.get_fdata() == 3).mean(axis=0), 1]
    middle = saved.affine @ [60, 60, 6, 1]
    assert right[0] > middle[0] + 20
    assert right[1] > middle[1] + 20  # above the middle of the picture lies the face


def test_a_scan_that_is_dropped_is_labelled(page):
    shown, out = page
    data = list(save_scan(out.parent / "new_T2.nii.gz", 3).read_bytes())

    shown.evaluate(
        """(data) => {
          const files = new DataTransfer();
          files.items.add(new File([Uint8Array.from(data)], "new_T2.nii.gz"));
          window.dispatchEvent(new DragEvent("drop", {dataTransfer: files, cancelable: true}));
        }""",
        data,
    )
    shown.wait_for_selector("#incoming .done")
    shown.wait_for_selector("#cases >> text=new")

    assert nib.load(out / "new.nii.gz").get_fdata().max() == 3
