import os
import subprocess
import sys
from pathlib import Path

import pytest

# `python tests/images/fuzz.py 10000` takes minutes.
IMAGES = os.environ.get("DFK_FUZZ_IMAGES", "150")


@pytest.mark.slow
def test_mutated_images_are_decoded_or_refused():
    # A process of its own, since what goes wrong may kill it.
    program = Path(__file__).with_name("fuzz.py")
    ended = subprocess.run(
        [sys.executable, program, IMAGES],
        capture_output=True,
        errors="replace",
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
