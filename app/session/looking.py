"""Reading images that were never opened, to know their planes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellseg1.errors import CellSeg1Error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cellseg1.images import Image

    from .lanes import Lane
    from .open_project import OpenProject


def look_at_images(
    lane: Lane,
    projects: OpenProject,
    image_ids: Sequence[str],
    done: Callable[[], None],
    progress: Callable[[int], None],
    name: str,
) -> None:
    """Read the images one after the other in a lane; stops when the project is closed.

    An unreadable image stays unknown; its later use reports the error.
    """
    project, left = projects.require(), list(image_ids)

    def next_one() -> None:
        if projects.project is not project:
            return
        progress(len(image_ids) - len(left))
        if not left:
            done()
            return
        image_id = left.pop(0)

        def read() -> Image | None:
            try:
                return project.images.read(image_id)
            except CellSeg1Error:
                return None

        def looked(image: Image | None) -> None:
            known = any(one.id == image_id for one in project.images)
            if projects.project is project and image is not None and known and not project.read_only:
                project.images.describe(image_id, image)
            next_one()

        lane.run(read, looked, name)

    next_one()
