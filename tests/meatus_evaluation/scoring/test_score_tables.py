"""Columns and rows of score tables, whatever their shape."""

import json

from meatus_evaluation.scoring.score_tables import Column, column_of, read_scores, scores_of


def test_wide_long_and_nested_tables_say_the_same(tmp_path):
    wide = scores_of([{"case": "a", "cochlea_dice": 0.5, "cochlea_assd_mm": 2}], "T", "wide")
    long = scores_of([{"case": "a", "structure": "cochlea", "dice": 0.5, "assd_mm": 2}], "T", "l")
    nested = {"case": "a", "structures": {"cochlea": {"dice": 0.5, "assd_mm": 2, "outcome": "x"}}}
    path = tmp_path / "T.json"
    path.write_text(json.dumps({"mean": {}, "cases": {"a": nested}}))

    assert wide == long == read_scores(path)


def test_a_columns_name_tells_structure_and_metric_in_either_order():
    assert column_of("VS_Dice") == column_of("dice vs") == Column("whole_vs", "dice")
    assert column_of("boundary_assd_mm") == Column("boundary", "assd")
    assert column_of("cochlea_surface_dice") == Column("cochlea", "nsd")
    assert column_of("cochlea_volume_mm3") is None
    assert column_of("assd_means_mm") is None
