"""The main path: one scan in, one label map out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from meatus.appearance import appearance_of, shown_planes, without_empty_planes
from meatus.certainty import certainty_of
from meatus.engines import Device, choose, load_engine, usable_threads
from meatus.ensemble import Model, Quality, predict
from meatus.head import reach_of
from meatus.laterality import with_faint_cochlea
from meatus.postprocess import Rules, clean_and_tell
from meatus.preprocess import prepare
from meatus.regions import Scout, usual_window
from meatus.restore import restore
from meatus.timing import Stopwatch
from meatus.volumes import Scan, Segmented
from meatus.weights import find_networks

# Beside this file where the package was installed, in the repository's own folder in a checkout.
_PACKAGED = Path(__file__).resolve().parent / "shipped_weights"
DEFAULT_WEIGHTS = _PACKAGED if _PACKAGED.is_dir() else _PACKAGED.parents[2] / "weights"


def segment(scan: Scan, model: Model, rules: Rules | None = None) -> Segmented:
    """Label every voxel of ``scan``; the labels lie on the scan's own grid.

    Beside them: the probabilities that they were made from, how sure the ensemble is, and the
    seconds that each stage took. Raises ``ScanError`` where the scan shows nothing.
    """
    watch = Stopwatch()
    with watch("prepare"):
        prepared = prepare(scan, model.spec)
    with watch("network"):
        probabilities = predict(prepared, model)
    with watch("restore"):
        restored = restore(probabilities, scan)
    with watch("clean"):
        shown = shown_planes(scan.voxels)
        rules, reach = rules or Rules(), reach_of(scan)
        cleaned = clean_and_tell(restored, rules, reach)
        other = with_faint_cochlea(
            probabilities, cleaned.labels, reach.middle_x, rules.between_ears_mm
        )
        if other is not None:
            cleaned = clean_and_tell(restore(other, scan), rules, reach)
        labels = without_empty_planes(cleaned.labels, shown)
        certainty = certainty_of(probabilities, labels)
        appearance = appearance_of(scan, labels, shown)
    return Segmented(
        labels,
        certainty,
        appearance,
        watch.seconds,
        probabilities,
        probabilities.looked,
        cleaned.misplaced_mm3,
        rules.keep_doubtful,
        cleaned.passed_over_mm3,
    )


def load_model(
    weights: Path = DEFAULT_WEIGHTS,
    *,
    device: Device = "auto",
    quality: Quality | None = None,
    threads: int | None = None,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda _line: None,
    gpu: int = 0,
) -> Model:
    """Load the ensemble in ``weights``, a folder with a manifest or one ``.onnx`` file.

    Without ``quality`` it is ``standard``, the left-right flip, whatever the device. ``fast``,
    which loads the first member only, and ``full`` look closely where the weights' scout, if they
    have one, finds the ears. ``gpu`` is the number of the one to run on, where that is the device.
    ``say`` gets the lines that a user should see.

    Raises ``WeightsError`` where a file is missing or damaged, ``DeviceError`` where the
    device cannot be used.
    """
    networks = find_networks(weights)
    kind = choose(device, say)
    chosen: Quality = quality or "standard"
    used = networks.members[:1] if chosen == "fast" else networks.members
    load = partial(
        load_engine, kind=kind, threads=threads or usable_threads(), cache=cache, say=say, gpu=gpu
    )
    # Regions cost up to 0.007 of Dice on real slices (docs/weights.md): for who asks for speed, and
    # where eight looks at the whole field would take as long as the published work.
    looks = networks.scout if chosen != "standard" else None
    # The coarse look comes first.
    scout = Scout(load(*looks, first_window=usual_window(looks[1])), looks[1]) if looks else None
    members = tuple(
        load(file, spec, first_window=usual_window(spec, about_ears=looks is not None))
        for file, spec in used
    )
    names = ", ".join(spec.name for _, spec in used)
    return Model(members, used[0][1], chosen, names, scout, one_shape=kind == "tensorrt")
