import pytest

from meatus_phantom.validate import expected as ex
from meatus_phantom.validate.scan_checks import ScanMeasures, check_contrasts, check_noise

(SITE, MODALITY), TISSUES = next(iter(ex.CONTRASTS.items()))
TISSUE, RANGE = next(iter(TISSUES.items()))
RATIO = sum(RANGE) / 2
REFERENCE = "CSF" if MODALITY == "hrT2" else "brain"


def scan(ratio):
    sequence = ex.MEASURED_SEQUENCE.get((SITE, MODALITY)) or ""
    levels = {TISSUE: 100.0 * ratio, REFERENCE: 100.0}
    return ScanMeasures(SITE, MODALITY, sequence, levels, None, None, 2.0)


def test_the_median_ratio_is_held_to_what_was_measured():
    first = check_contrasts([scan(RATIO), scan(RATIO), scan(50 * RATIO)])[0]

    assert first.name == f"{SITE} {MODALITY} {TISSUE} / {REFERENCE}"
    assert first.measured == pytest.approx(RATIO)
    assert first.count == 3


def test_scans_whose_noise_is_unknown_do_not_count():
    assert all(check.count == 0 for check in check_noise([scan(RATIO)], MODALITY))
