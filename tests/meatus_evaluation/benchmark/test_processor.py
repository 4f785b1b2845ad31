import pytest

from meatus_evaluation.benchmark.processor import described_processor, instructions


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("avx512f avx512_bf16 amx_bf16 amx_tile", "AMX"),
        ("avx512f avx512_bf16", "AVX-512 bf16, no AMX"),
        ("avx2 avx512f", "neither AMX nor AVX-512 bf16"),
    ],
)
def test_the_class_of_a_processor_is_told_by_its_instructions(flags, told):
    assert instructions(f"model name\t: X\nflags\t\t: fpu {flags} sse\n") == told


def test_a_system_that_tells_no_instructions_is_told(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("model name\t: Some 9000\n")

    assert described_processor(file) == "Some 9000 (instructions not known)"
    assert "instructions not known" in described_processor(tmp_path / "none")
