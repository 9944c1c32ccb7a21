"""Flags of planes: used for training, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..annotation import Document
    from ..project.project import Project

#: Names of the edits that set or clear a flag of a plane.
_EDITS = {
    "training": ("Use for training", "Do not use for training"),
    "checked": ("Mark as checked", "Mark as not checked"),
}


def set_flag(document: Document, flag: str, value: bool) -> None:
    """Set a flag of one plane, as an undoable edit."""
    document.set_attribute(_EDITS[flag][0 if value else 1], flag, value)


def set_flag_of_image(project: Project, image_id: str, flag: str, value: bool, *, shown: tuple[int, int]) -> int:
    """Set a flag (training, checked) of a whole image; return the number of changed planes.

    In a stack, ``training`` is set on planes with cells, ``checked`` on planes with cells or a prediction, and both are
    cleared wherever they were set.  Without such planes, it is the plane `shown` (z, t).

    Raises
    ------
    CellSeg1Error
        When nothing may be changed, or the image or a drawing cannot be read.
    """
    project.require_writable()
    entry = project.images.get(image_id)
    if not entry.n_z:
        # Its planes are unknown until it was read.
        project.drawings.document(image_id, *shown)
    noted = {(int(z), int(t)): note for key, note in entry.planes.items() for z, t in [key.split(",")]}
    telling = (flag,) if not value else ("cells",) if flag == "training" else ("cells", "predicted", "checked")
    planes = sorted(place for place, note in noted.items() if any(note.get(one) for one in telling))
    if not planes and value:
        planes = [shown]
    for z, t in planes:
        document = project.drawings.document(image_id, z, t)
        set_flag(document, flag, value)
        project.drawings.update_plane(image_id, z, t, document)
    return len(planes)
