from meatus_training.runs.launch import make_fabric
from meatus_training.segmentation.loader import Loader
from tests.meatus_training.segmentation.runs import TINY, toy_scans


def test_the_loader_turns_from_parts_to_whole_fields_once(tmp_path):
    loader = Loader(toy_scans(tmp_path), TINY, make_fabric(accelerator="cpu"), 6)

    loader.turn(0, whole=False)
    reader = loader.reader
    loader.turn(1, whole=False)
    assert loader.reader is reader
    part = next(loader)[0]
    loader.turn(1, whole=True)
    whole = next(loader)[0]

    assert tuple(part.shape[2:]) == TINY.patch
    assert tuple(whole.shape[3:]) == (32, 48)
    assert loader.waited() > 0
    assert loader.waited() == 0
