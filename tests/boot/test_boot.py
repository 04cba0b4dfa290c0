"""Units and lines of fstab at a real boot."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_DRIVER = os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "boot_test.py")


@pytest.mark.boot
def test_stacks_are_mounted_after_a_real_boot() -> None:
    """A guest boots twice; what ovlctl wrote mounts, in order, and what was kept is there again."""
    check = subprocess.run([sys.executable, _DRIVER, "--check"], capture_output=True, text=True, check=False)
    if check.returncode:
        pytest.skip(check.stderr.strip())
    done = subprocess.run([sys.executable, _DRIVER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "as it has to be" in done.stderr
