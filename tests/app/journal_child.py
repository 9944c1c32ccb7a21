"""Edits a project in a loop until it is killed; run by test_journal_kill.  Forks, so that imports are paid for once."""

import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from project_help import act  # noqa: E402

from app.project.files import writer  # noqa: E402
from app.project.journal import journal as journals  # noqa: E402
from app.project.project import Project  # noqa: E402


def edit(folder, image_id):
    # Snapshots and compactions happen all the time, so that kills hit them too.
    journals.SNAPSHOT_BYTES, journals.COMPACT_BYTES, writer.DELAY = 8_000, 30_000, 0.02
    project = Project.open(folder)
    assert not project.read_only, project.why_read_only
    document = project.drawings.document(image_id)
    number = project.drawings._planes[image_id, 0, 0].journal.last
    os.write(1, b"open\n")
    while True:
        number += 1
        act(document, number)
        os.write(1, b"done %d\n" % number)


def main():
    folder, image_id = sys.argv[1:]
    assert "torch" not in sys.modules
    for _line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                edit(folder, image_id)
            finally:
                os._exit(1)
        os.write(1, b"child %d\n" % child)
        os.waitpid(child, 0)
        os.write(1, b"gone\n")


if __name__ == "__main__":
    main()
