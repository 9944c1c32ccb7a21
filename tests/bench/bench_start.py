"""From the start of the process to a painted window, and to one that does what it is asked.

``python tests/bench/bench_start.py [--runs 7] [--cold]``: a screen of its own (Xvfb, openbox), a user folder of its
own with three recent projects, the real program.  Xvfb keeps its screen in a file, so looking costs the program
nothing.

- *visible*: at least 97 % of the window's pixels are what they stay.
- *complete*: everything behind the start page is loaded too (the program says so in its log).  What is clicked
  before that is done as soon as it is.

``--cold`` drops the system's file cache before each start (needs root); the first start is in any case the slowest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from desktop import Desktop  # noqa: E402

_SETTLED = 1.5
_SAME = 0.97


def drop_caches():
    """Forget which files were read lately."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")


def recent_projects(desktop):
    """Make three projects with thumbnails that the start page shows."""
    code = (
        "import numpy as np, cv2, pathlib, sys\n"
        "from app.project.project import Project\n"
        "from app.project import recent\n"
        "for name in ('Nuclei', 'Yeast', 'Fibres'):\n"
        "    with Project.create(pathlib.Path(sys.argv[1]), name) as one:\n"
        "        picture = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)\n"
        "        cv2.imwrite(str(one.folder / 'thumbnails' / 'a.png'), picture)\n"
        "        recent.add(one.folder, name)\n"
    )
    command = [sys.executable, "-c", code, str(desktop.folder / "user")]
    subprocess.run(command, env=desktop.environment, cwd=ROOT, check=True)


def one_start(desktop):
    """Return seconds until the window was visible, and how it looked at the end."""
    before = desktop.picture().copy()
    log = desktop.home / "logs" / "studio.log"
    log.unlink(missing_ok=True)
    pictures, complete = [], None
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "app"],
        env=desktop.environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    quiet_since, last, first = started, before, None
    try:
        while True:
            time.sleep(0.01)
            now = desktop.picture()
            moment = time.perf_counter()
            if not np.array_equal(now, last):
                last = now.copy()
                pictures.append((moment - started, last))
                quiet_since = moment
                first = first or moment
            if complete is None and log.exists() and "is complete" in log.read_text(encoding="utf-8"):
                complete = moment - started
            if first is not None and complete is not None and moment - quiet_since > _SETTLED:
                break
            if moment - started > 60:
                raise SystemExit("no window within a minute")
        end = pictures[-1][1]
        window = (end != before).any(axis=2)
        visible = next(
            seconds
            for seconds, picture in pictures
            if ((picture == end).all(axis=2) | ~window).sum() - (~window).sum() >= _SAME * window.sum()
        )
    finally:
        process.terminate()
        process.wait(30)
    return visible, complete, float(window.mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    say = sys.stdout.write
    desktop = Desktop()
    desktop.environment.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        recent_projects(desktop)
        seconds, whole = [], []
        for _ in range(options.runs):
            if options.cold:
                drop_caches()
            visible, complete, share = one_start(desktop)
            seconds.append(visible)
            whole.append(complete)
            say(f"visible after {visible:.2f} s, complete after {complete:.2f} s (covers {share:.0%} of the screen)\n")
        for what, values in (("visible", seconds), ("complete", whole)):
            how = "cold" if options.cold else "warm"
            median = statistics.median(values)
            say(f"{what}, {how}, {len(values)} starts: median {median:.2f} s, longest {max(values):.2f} s\n")
    finally:
        desktop.close()


if __name__ == "__main__":
    main()
