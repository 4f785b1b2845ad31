import subprocess
import sys

MEASURE = "from meatus.timing import peak_mib; print(peak_mib())"
TAKE_400_MIB = "ballast = bytearray(400 * 2**20); ballast[::4096] = b'x' * len(ballast[::4096])\n"
START_ANOTHER = f"""
import subprocess, sys
{TAKE_400_MIB}
print(subprocess.run([sys.executable, "-c", {MEASURE!r}], capture_output=True, text=True).stdout)
"""


def printed(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def test_peak_memory_counts_what_was_taken():
    assert printed(TAKE_400_MIB + MEASURE) - printed(MEASURE) > 350


def test_peak_memory_is_not_that_of_the_program_that_started_this_one():
    assert printed(START_ANOTHER) < 300
