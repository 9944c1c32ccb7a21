"""A desktop for tests that drive the real program from outside; what a failed test looked like is kept."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import desktop as desktops


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.stash[_FAILED] = outcome.get_result().failed


_FAILED = pytest.StashKey[bool]()


@pytest.fixture
def desktop(request, tmp_path):
    lacking = desktops.missing()
    if lacking:
        reason = f"needs {', '.join(lacking)} (on Debian: apt-get install xvfb openbox xdotool)"
        if os.environ.get("CELLSEG1_E2E") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    screen = desktops.Desktop()
    try:
        yield screen
    finally:
        if request.node.stash.get(_FAILED, True):
            screen.keep(tmp_path / "failure")
            sys.stderr.write(f"Screen and logs are in {tmp_path / 'failure'}\n")
        screen.close()
