"""Makes the tests' shared helpers importable (``tests/core/*.py``), and fails a test that leaves something behind."""

import os
import sys
import threading
from multiprocessing import resource_tracker
from pathlib import Path

import psutil
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).parent / "core"), str(Path(__file__).parent / "app")]
if sys.platform != "win32":
    # One helper process of Python's own lives from the first shared memory or spawned child to the end.
    resource_tracker.ensure_running()

#: Threads of libraries that live as long as the process.
_LASTING = ("pytest_timeout", "tqdm_monitor", "pydevd")


def _left_behind():
    """Threads, child processes and regular files that are open now."""
    me = psutil.Process()
    threads = {thread for thread in threading.enumerate() if not thread.name.startswith(_LASTING)}
    children = {child.pid for child in me.children(recursive=True)}
    # Libraries keep their own open: code, databases, fonts.
    files = {file.path for file in me.open_files() if not file.path.endswith((".so", ".db", ".coverage", ".ttf"))}
    return threads, children, files


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request):
    before = _left_behind()
    yield
    import gc

    after = _left_behind()
    if any(now - then for then, now in zip(before, after, strict=True)):
        # Only what is still referenced counts as a leak: a cycle that was not collected yet may hold a file.
        gc.collect()
        for thread in after[0] - before[0]:
            thread.join(timeout=5)
        after = _left_behind()
    for what, then, now in zip(("threads", "child processes", "open files"), before, after, strict=True):
        assert not now - then, f"{request.node.name} left {what}: {now - then}"
