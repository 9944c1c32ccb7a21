"""Tries to get a lock when it is told to, and says whether it did; run by test_lock."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

from app.project.files import lock  # noqa: E402


def main():
    folder, system = Path(sys.argv[1]), sys.argv[2] == "with"
    if not system:
        lock._locked = lambda handle: None
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "get":
            held, holder, stale = lock.acquire(folder)
            word = f"{held is not None} {stale} {'' if holder is None else holder.pid}"
        else:
            if held is not None:
                held.release()
            word = "released"
        sys.stdout.write(word + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
