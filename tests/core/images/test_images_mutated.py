"""Damaged files through the real readers: an image or a sentence, never another error, no hang, little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("mutate_child.py")


@pytest.mark.parametrize("count", [20, pytest.param(600, marks=pytest.mark.slow)])
def test_damaged_files_give_an_image_or_a_sentence(tmp_path: Path, count: int) -> None:
    command = [sys.executable, str(CHILD), str(tmp_path), str(count), "11"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps({key: value for key, value in found.items() if key != "wrong"}))
    assert found["wrong"] == []
    for kind, counts in found["counts"].items():
        assert counts["read"] + counts["refused"] == 2 * count, kind
        assert counts["refused"] > 0, kind
    assert found["peak_bytes"] < 2**30
