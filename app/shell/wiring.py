"""Which signal leads where: the parts of the window know nothing of each other and meet here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..pages.train.resume import ended_with_program
from ..widgets.errors import show_error
from .host import Host

if TYPE_CHECKING:
    from pathlib import Path

    from ..project.project import RunInfo
    from .actions import Actions
    from .applied_preferences import AppliedPreferences
    from .closing import Closing
    from .image_commands import ImageCommands
    from .image_list.files import ImageFiles
    from .image_list.flags import ImageFlags
    from .layout import WorkArea
    from .possible import Possible
    from .project_commands import ProjectCommands
    from .shown_image import ShownImage
    from .storage import Storage
    from .view_commands import ViewCommands


class Parts(Host, Protocol):
    """The window as it is connected."""

    area: WorkArea
    actions_: Actions
    applied: AppliedPreferences
    closing: Closing
    files: ImageFiles
    flags: ImageFlags
    image_commands: ImageCommands
    possible: Possible
    projects: ProjectCommands
    shown_image: ShownImage
    storage: Storage
    view: ViewCommands


def connect(parts: Parts) -> None:
    """Connect everything, once."""
    _connect_session(parts)
    _connect_canvas(parts)
    _connect_steps(parts)
    _connect_list(parts)
    _connect_preferences(parts)
    parts.closing.save_elsewhere_wanted.connect(parts.actions_["save_elsewhere"].trigger)
    parts.area.notes.save_elsewhere_wanted.connect(parts.actions_["save_elsewhere"].trigger)


def _connect_session(parts: Parts) -> None:
    session, area, possible = parts.session, parts.area, parts.possible
    session.projects.ask_to_leave = parts.closing.may_leave
    session.images_changed.connect(parts.files.fill)
    session.images_changed.connect(parts.shown_image.show_place)
    session.images_changed.connect(possible.update)
    session.image_state_changed.connect(parts.files.renew)
    session.image_state_changed.connect(lambda _image_id: possible.update())
    session.image_loading.connect(area.images.set_current)
    session.unreadable.connect(parts.files.mark_unreadable)
    session.image_changed.connect(parts.shown_image.show_plane)
    session.image_changed.connect(possible.update)
    session.display_changed.connect(parts.shown_image.show_display)
    session.model_changed.connect(possible.show_device)
    session.models_changed.connect(possible.update)
    session.problem.connect(lambda sentence, details: show_error(parts.frame, sentence, details))
    session.note.connect(parts.say)
    session.storage_problem.connect(parts.storage.tell)
    session.proposals.layer_changed.connect(parts.canvas.set_proposals)
    session.jobs.planned.connect(lambda job: area.job_bar.add(job.handle))
    session.job_ended.connect(lambda _job: possible.update())

    def waiting(what: str) -> None:
        parts.canvas.waiting = what
        possible.update_undo()
        area.notes.show_waiting(what)

    session.document_edited.connect(possible.update_undo)
    session.waiting_changed.connect(waiting)


def _connect_canvas(parts: Parts) -> None:
    canvas, area = parts.canvas, parts.area
    canvas.display_changed.connect(parts.session.set_display)
    canvas.pointed.connect(area.status.set_pointed)
    canvas.zoom_changed.connect(area.status.set_zoom)
    canvas.hint.connect(area.status.set_hint)
    canvas.problem.connect(lambda sentence: show_error(parts.frame, sentence, ""))
    canvas.tool_changed.connect(area.tool_column.set_tool)
    canvas.brush_size_changed.connect(parts.applied.keep_brush)
    canvas.overlay_changed.connect(parts.applied.keep_overlay)
    canvas.plane_step.connect(parts.view.step_plane)
    area.tool_column.tool_chosen.connect(parts.view.choose_tool)
    parts.actions_.tool_chosen.connect(parts.view.choose_tool)
    area.status.fit_wanted.connect(canvas.fit)
    area.status.actual_size_wanted.connect(lambda: canvas.zoom_to(1.0))
    area.status.device_clicked.connect(parts.actions_["computer"].trigger)


def _connect_steps(parts: Parts) -> None:
    area = parts.area
    area.step_bar.step_chosen.connect(parts.show_step)
    parts.actions_.step_chosen.connect(parts.show_step)
    for page in area.pages:
        page.step_wanted.connect(parts.show_step)
        page.models_wanted.connect(parts.actions_["models"].trigger)

    def train_on(model: Path | None) -> None:
        area.train.start_from(model)
        parts.show_step("train")

    area.predict.export_wanted.connect(parts.image_commands.export_masks)
    area.review.train_on_wanted.connect(train_on)
    _connect_offer(parts)


def _connect_offer(parts: Parts) -> None:
    """A training that ended early is offered in its own step; one that ended with the program in every step."""
    area, offer = parts.area, parts.area.notes.offer

    def show() -> None:
        run: RunInfo | None = area.train.unfinished
        offer.show_run(run if run is not None and (area.step() == "train" or ended_with_program(run)) else None)

    def resume(run_id: str) -> None:
        parts.show_step("train")
        area.train.resume(run_id)

    area.train.unfinished_changed.connect(show)
    area.panels.currentChanged.connect(lambda _place: show())
    offer.resume_wanted.connect(resume)
    offer.discard_wanted.connect(area.train.discard)


def _connect_list(parts: Parts) -> None:
    images, area = parts.area.images, parts.area
    images.chosen.connect(parts.view.show_image)
    images.thumbnail_wanted.connect(parts.files.make_thumbnail)
    images.files_dropped.connect(parts.projects.add_paths)
    area.drop.dropped.connect(parts.projects.add_paths)
    area.no_image.clicked.connect(parts.actions_["add_images"].trigger)
    images.add_images_wanted.connect(parts.actions_["add_images"].trigger)
    images.add_folder_wanted.connect(parts.actions_["add_folder"].trigger)
    images.next_wanted.connect(parts.actions_["next_unchecked"].trigger)
    images.remove_wanted.connect(parts.image_commands.remove_images)
    images.relink_wanted.connect(parts.image_commands.relink_images)
    images.reveal_wanted.connect(parts.image_commands.reveal_image)
    images.training_wanted.connect(lambda ids, use: parts.flags.set(ids, "training", use))
    images.checked_wanted.connect(lambda ids, checked: parts.flags.set(ids, "checked", checked))


def _connect_preferences(parts: Parts) -> None:
    parts.preferences.changed.connect(lambda _name: parts.applied.apply())
    parts.preferences.changed.connect(lambda _name: parts.possible.show_device())
    parts.preferences.problem.connect(parts.applied.tell)
