"""The window: always the same places; the five steps change the right panel and the tools, never the canvas."""

from __future__ import annotations

import contextlib
import importlib
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QEvent, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QMenu,
    QMessageBox,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.base.places import choose_library
from app.project import recent
from app.shell.start_page import StartPage
from app.theme import MARGIN, PANEL_WIDTH, app_icon, current_theme, icon
from app.translation.library_words import shown
from app.widgets.errors import show_error
from app.widgets.plain import MessageBox, plain_title
from app.widgets.showing import screen_room
from cellseg1.errors import CellSeg1Error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray
    from PySide6.QtGui import QCloseEvent, QPaintEvent

    from app.canvas.layers.cells import Overlay
    from app.preferences.store import PreferencesStore
    from app.project.project import Project
    from app.shell.end_notice import EndNotice
    from app.shell.image_list.rows import ImageRow
    from app.shell.last_end import UnexpectedEnd
    from app.widgets.banner import Banner
    from cellseg1.masks import Box

log = logging.getLogger(__name__)
STEPS = ("annotate", "train", "predict", "review", "measure")
_NOTE_MS = 6000
_OFFER_MS = 30_000
_MOST_NOTES = 3
#: Between the first picture and loading the rest: time for it to reach the screen.
_FIRST_LOOK_MS = 20
#: Between two looks whether a dialog was closed.
_FREE_MS = 200


#: What the work area is made of, in the order in which it is loaded; each takes less than a blink.
_PARTS = (
    "numpy",
    "cv2",
    "app.annotation",
    "app.canvas",
    "app.session.session",
    "app.pages.annotate.panel",
    "app.pages.train.panel",
    "app.pages.predict.panel",
    "app.pages.review.panel",
    "app.pages.measure.panel",
    "app.shell.project_commands",
    "app.shell.help_commands",
)


def _states_of(project: Project, image_ids: list[str]) -> dict[str, str]:
    """Look whether files are there and as they were; in a thread, where an image may be removed meanwhile."""
    states: dict[str, str] = {}
    for image_id in image_ids:
        with contextlib.suppress(CellSeg1Error):
            states[image_id] = project.check_image(image_id)
    return states


class MainWindow(QWidget):
    """The whole window; `session` holds what is open.

    Parameters
    ----------
    later
        Show the start page first and load everything else after it was painted.  Whoever needs the rest before that
        calls `complete`.
    """

    #: Everything is loaded and built.
    completed = Signal()

    def __init__(self, preferences: PreferencesStore, *, later: bool = False) -> None:
        super().__init__()
        self.preferences = preferences
        self._told: set[str] = set()
        self.is_complete = False
        self._parts = list(_PARTS)
        self._storage_banner: Banner | None = None
        self._storage_shown = ""
        self._waiting_banner: Banner | None = None
        #: Says that the last window did not end as asked; None when it did.
        self.end_notice: EndNotice | None = None
        #: Ids of images whose files could not be read.
        self._unreadable: set[str] = set()
        #: What is known of the files of images: ok, missing or changed.
        self._files: dict[str, str] = {}
        self.setWindowTitle("CellSeg1 Studio")
        self.setWindowIcon(app_icon())
        self.stack = QStackedWidget()
        self.start_page = StartPage()
        self.stack.addWidget(self.start_page)
        self._outer = outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.stack)
        self.setMinimumSize(900, 560)
        # Room for the title bar, whose height is not known before the window is shown.
        room = screen_room(self).size() - QSize(16, 48)
        self.resize(QSize(1440, 900).boundedTo(room))
        self._restore("geometry", self.restoreGeometry)
        self._connect_start_page()
        self.start_page.set_recent(recent.recent())
        self._leaving = False
        #: What is to be done when no dialog is open any more.
        self._later: list[Callable[[], Any]] = []
        self._try_later = QTimer(self, interval=_FREE_MS)
        self._try_later.timeout.connect(self._do_later)
        self._load = QTimer(self, interval=0)
        self._load.timeout.connect(self._load_next)
        if not later:
            self.complete()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Load the rest once there is something to see."""
        super().paintEvent(event)
        if not self.is_complete and not self._load.isActive():
            QTimer.singleShot(_FIRST_LOOK_MS, self._load.start)

    def _load_next(self) -> None:
        """Load one part, so that the window answers between two; then build what is missing."""
        if self._parts:
            importlib.import_module(self._parts.pop(0))
        else:
            self.complete()

    def complete(self) -> None:
        """Build everything that the start page does not need; again: nothing happens."""
        self._load.stop()
        if self.is_complete:
            return
        self.is_complete = True
        from app.canvas import Canvas
        from app.session.clicks import Clicks
        from app.session.session import Session
        from app.shell.actions import Actions
        from app.shell.closing import Background
        from app.shell.help_commands import HelpCommands
        from app.shell.project_commands import ProjectCommands

        self.session = Session(self.preferences, self)
        self.canvas = Canvas()
        self.canvas.edit_aside = self.session.edit_aside
        self.canvas.in_background = self.session.run
        self.session.foresee = self._foresee
        self.session.ask_to_leave = self._may_leave
        self.clicks = Clicks(self.session, self.canvas)
        self.actions_ = Actions(self)
        self.background = Background(self)
        self._build()
        self.projects = ProjectCommands(self)
        self.help = HelpCommands(self)
        self.actions_.connect_all(self._guard, self.projects, self.help, self)
        self.step_bar.set_menu(self._project_menu())
        self._connect()
        self._apply_preferences()
        self._restore("splitter", self.splitter.restoreState)
        self._update_possible()
        log.info("The window is complete.")
        self.completed.emit()

    def _connect_start_page(self) -> None:
        page = self.start_page
        page.try_sample.connect(self._when_complete(lambda: self.actions_["try_sample"].trigger))
        page.new_project.connect(self._when_complete(lambda: self.actions_["new_project"].trigger))
        page.open_project.connect(self._when_complete(lambda: self.projects.open_path))
        page.import_project.connect(self._when_complete(lambda: self.actions_["import_project"].trigger))
        page.forget_project.connect(self._when_complete(lambda: self.projects.forget))
        page.files_dropped.connect(self._when_complete(lambda: self.projects.new_from))

    def tell_last_end(self, end: UnexpectedEnd, log_file: Path | None) -> None:
        """Say that the last window did not end as asked, and offer its project."""
        from app.shell.end_notice import EndNotice

        notice = EndNotice(self)
        there = end.project is not None and end.project.is_dir()
        notice.open_wanted.connect(self._when_complete(lambda: self.projects.open_path))
        notice.log_wanted.connect(self._when_complete(lambda: lambda: self.help.show_log(end.report)))
        self._outer.insertWidget(0, notice)
        self.end_notice = notice
        notice.tell(
            restarted=end.restarted,
            project=end.project if there else None,
            name=end.project.stem if end.project is not None else "",
            log=log_file,
        )

    def _when_complete(self, find: Callable[[], Callable[..., Any]]) -> Callable[..., None]:
        """Return a call of what `find` finds, once the window is complete."""

        def complete_and_call(*arguments: Any) -> None:
            self.complete()
            find()(*arguments)

        return complete_and_call

    # ---- building

    def _build(self) -> None:
        from app.pages.annotate.panel import AnnotatePanel
        from app.pages.measure.panel import MeasurePanel
        from app.pages.predict.panel import PredictPanel
        from app.pages.review.panel import ReviewPanel
        from app.pages.train.panel import TrainPanel
        from app.pages.train.resume import ResumeOffer
        from app.shell.image_list.list import ImageList
        from app.shell.job_bar.bar import JobBar
        from app.shell.status_bar import StatusBar
        from app.shell.step_bar import StepBar
        from app.shell.tool_column import ToolColumn
        from app.widgets.empty_state import EmptyState
        from app.widgets.file_drop import FileDrop

        self.step_bar = StepBar()
        self.job_bar = JobBar()
        self.images = ImageList()
        self.tool_column = ToolColumn()
        self.status = StatusBar()
        self.panels = QStackedWidget()
        self.annotate = AnnotatePanel(self.session, self.canvas)
        self.train = TrainPanel(self.session, self.canvas)
        self.predict = PredictPanel(self.session, self.canvas)
        self.review = ReviewPanel(self.session, self.canvas)
        self.measure = MeasurePanel(self.session, self.canvas)
        for panel in (self.annotate, self.train, self.predict, self.review, self.measure):
            self.panels.addWidget(panel)
        self.panels.setMinimumWidth(PANEL_WIDTH)

        top = QHBoxLayout()
        top.setContentsMargins(0, 4, MARGIN, 4)
        top.addWidget(self.step_bar)
        top.addStretch(1)
        top.addWidget(self.job_bar)
        self._banners = QVBoxLayout()
        self._banners.setContentsMargins(0, 0, 0, 0)
        self._banners.setSpacing(4)
        self.canvas_stack = QStackedWidget()
        self.canvas_stack.addWidget(self.canvas)
        self._no_image = EmptyState(
            "image", self.tr("This project has no images yet. Drop files or a folder here."), self.tr("Add images...")
        )
        self._no_image.clicked.connect(self.actions_["add_images"].trigger)
        self.canvas_stack.addWidget(self._no_image)
        center = QWidget()
        column = QVBoxLayout(center)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self._storage_place = QVBoxLayout()
        column.addLayout(self._storage_place)
        self.resume_offer = ResumeOffer()
        column.addWidget(self.resume_offer)
        column.addLayout(self._banners)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.tool_column)
        row.addWidget(self.canvas_stack, 1)
        column.addLayout(row, 1)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(self.images)
        self.splitter.addWidget(center)
        self.splitter.addWidget(self.panels)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setCollapsible(1, False)
        self.splitter.setSizes([232, 900, PANEL_WIDTH])
        work = QWidget()
        whole = QVBoxLayout(work)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(top)
        whole.addWidget(self.splitter, 1)
        whole.addWidget(self.status)
        self.stack.addWidget(work)
        # Anywhere over the work area, not only over the list.
        self._drop = FileDrop(work)

    def _project_menu(self) -> QMenu:
        menu = QMenu(self)
        self._fill_menu(menu, ("new_project", "open_project"))
        self.recent_menu = menu.addMenu(icon("folder"), self.tr("Open recent"))
        self.recent_menu.aboutToShow.connect(self.projects.fill_recent_menu)
        self._fill_menu(menu, ("try_sample", "import_project"))
        menu.addSeparator()
        self._fill_menu(menu, ("add_images", "add_folder", "relink", "removed"))
        menu.addSeparator()
        self._fill_menu(menu, ("save_now", "export_masks", "export_picture"))
        menu.addSeparator()
        # In two menus of their own: all in one would be as tall as a small screen.
        whole = ("rename_project", "duplicate_project", "move_project", "export_project", "trash_project")
        self._fill_menu(menu.addMenu(icon("rename"), self.tr("This project")), whole)
        self._fill_menu(menu, ("models", "preferences"))
        self._fill_menu(menu.addMenu(icon("info"), self.tr("Help")), ("shortcuts", "tour", "computer", "log", "about"))
        menu.addSeparator()
        self._fill_menu(menu, ("close_project", "quit"))
        return menu

    def _fill_menu(self, menu: QMenu, names: Iterable[str]) -> None:
        for name in names:
            menu.addAction(self.actions_[name])

    def _connect(self) -> None:
        session, canvas = self.session, self.canvas
        session.project_changed.connect(self._project_changed)
        session.images_changed.connect(self._fill_images)
        session.image_state_changed.connect(self._image_state_changed)
        session.image_loading.connect(self.images.set_current)
        session.unreadable.connect(self._mark_unreadable)
        session.image_changed.connect(self._image_changed)
        session.display_changed.connect(self._show_display)
        session.document_edited.connect(self._update_undo)
        session.model_changed.connect(self._show_device)
        session.models_changed.connect(self._update_possible)
        session.problem.connect(lambda sentence, details: show_error(self, sentence, details))
        session.note.connect(self.say)
        session.storage_problem.connect(self._storage_problem)
        session.waiting_changed.connect(self._show_waiting)
        session.proposals.changed.connect(self._show_proposals)
        session.jobs.any_started.connect(self.job_bar.add)
        session.jobs.any_started.connect(self.background.job_started)
        session.jobs.interrupted_found.connect(self.background.offer_to_resume)
        self.resume_offer.resume_wanted.connect(self.background.resume)
        self.resume_offer.discard_wanted.connect(self.train.offer.discard_wanted)
        self.train.offer.discard_wanted.connect(lambda _run: self.resume_offer.show_run(None))
        session.jobs.ended.connect(lambda _job: self._update_possible())
        canvas.display_changed.connect(session.set_display)
        canvas.pointed.connect(self.status.set_pointed)
        canvas.zoom_changed.connect(self.status.set_zoom)
        canvas.hint.connect(self.status.set_hint)
        canvas.problem.connect(lambda sentence: show_error(self, sentence, ""))
        canvas.tool_changed.connect(self.tool_column.set_tool)
        canvas.brush_size_changed.connect(lambda size: self.preferences.set("brush_size", size))
        canvas.overlay_changed.connect(self._remember_overlay)
        canvas.plane_step.connect(self._step_plane)
        self.tool_column.tool_chosen.connect(self._choose_tool)
        self.status.fit_wanted.connect(canvas.fit)
        self.status.actual_size_wanted.connect(lambda: canvas.zoom_to(1.0))
        self.status.device_clicked.connect(self.actions_["computer"].trigger)
        self.step_bar.step_chosen.connect(self.show_step)
        self.review.train_on_wanted.connect(self._train_on)
        self.predict.export_wanted.connect(self.projects.export_masks)
        for panel in (self.annotate, self.train, self.predict, self.review, self.measure):
            if hasattr(panel, "step_wanted"):
                panel.step_wanted.connect(self.show_step)
            if hasattr(panel, "models_wanted"):
                panel.models_wanted.connect(self.actions_["models"].trigger)
        images = self.images
        images.chosen.connect(lambda image_id: self._guard(session.show_image, image_id))
        images.thumbnail_wanted.connect(self._make_thumbnail)
        images.files_dropped.connect(self.projects.add_paths)
        self._drop.dropped.connect(self.projects.add_paths)
        images.add_images_wanted.connect(self.actions_["add_images"].trigger)
        images.add_folder_wanted.connect(self.actions_["add_folder"].trigger)
        images.next_wanted.connect(self.actions_["next_unchecked"].trigger)
        images.remove_wanted.connect(self.projects.remove_images)
        images.relink_wanted.connect(self.projects.relink_images)
        images.reveal_wanted.connect(self.projects.reveal_image)
        images.training_wanted.connect(lambda ids, use: self._set_flag(ids, "training", use))
        images.checked_wanted.connect(lambda ids, checked: self._set_flag(ids, "checked", checked))
        self.preferences.changed.connect(lambda _name: self._apply_preferences())
        self.preferences.problem.connect(self._tell_preferences)
        from app.shell.tool_column import standard_tools

        for tool in standard_tools():
            shortcut = QShortcut(QKeySequence(tool.key), self)
            shortcut.activated.connect(lambda name=tool.name: self._choose_tool(name))

    # ---- small helpers

    def _guard(self, call: Any, *arguments: Any) -> Any:
        """Call, and show an expected error as a dialog."""
        try:
            return call(*arguments)
        except CellSeg1Error as error:
            show_error(self, str(error), "")
            return None

    def save_quietly(self) -> None:
        """Bring everything to disk if that is possible now; what is wrong with the disk is said in the window."""
        project = self.session.project if self.is_complete else None
        if project is None:
            return
        try:
            project.flush()
        except (CellSeg1Error, OSError) as error:
            log.warning("not saved: %s", error)

    def busy(self) -> bool:
        """Whether something goes on under which the project must not change."""
        at_work = self._leaving or self.session.adding or bool(self.session.waiting)
        return at_work or QApplication.activeModalWidget() is not None

    def when_free(self, call: Callable[[], Any]) -> None:
        """Call now, or when no dialog is open and nothing is being added any more."""
        if not self._later and not self.busy():
            call()
            return
        self._later.append(call)
        self._try_later.start()

    def _do_later(self) -> None:
        if not self.busy() and self._later:
            self._later.pop(0)()
        if not self._later:
            self._try_later.stop()

    def say(self, sentence: str, action: str = "", do: Callable[[], None] | None = None) -> None:
        """Show a remark above the canvas for some seconds; longer when there is something to do about it."""
        from app.widgets.banner import Banner

        banner = Banner(sentence, kind="info", action=action, parent=self)
        banner.dismissed.connect(banner.deleteLater)
        if do is not None:
            banner.acted.connect(do)
            banner.acted.connect(banner.dismiss)
        self._banners.addWidget(banner)
        # Only remarks make room for remarks: that a project is read-only stays in sight.
        items = [self._banners.itemAt(place) for place in range(self._banners.count())]
        shown = [item.widget() for item in items if item is not None]
        for old in [one for one in shown if isinstance(one, Banner) and one.kind == "info"][:-_MOST_NOTES]:
            self._banners.removeWidget(old)
            old.deleteLater()
        QTimer.singleShot(_NOTE_MS if do is None else _OFFER_MS, banner, banner.dismiss)

    def _foresee(self, labels: NDArray[np.int32], box: Box) -> Callable[[], None]:
        """Find out in a thread which cells will touch, and return what tells the canvas."""
        from app.canvas.layers.cell_colours import pairs_near

        pairs = pairs_near(labels, box)
        return lambda: self.canvas.scene.colours.foresee(box, pairs)

    def _show_waiting(self, what: str) -> None:
        """Say for as long as it lasts that the drawing is busy."""
        self.canvas.waiting = what
        self._update_undo()
        if not what:
            if self._waiting_banner is not None:
                self._waiting_banner.deleteLater()
                self._waiting_banner = None
            return
        from app.widgets.banner import Banner

        self._waiting_banner = Banner(parent=self)
        self._storage_place.addWidget(self._waiting_banner)
        self._waiting_banner.show_message(what, dismissable=False)

    def _choose_tool(self, name: str) -> None:
        self.canvas.set_tool(name)
        self.canvas.setFocus()

    def open_arguments(self, path: str | None, *, sample: bool) -> None:
        """Open what the command line names."""
        if sample or path:
            self.complete()
        if sample:
            self.projects.do_try_sample()
        elif path:
            self.projects.open_path(Path(path))

    def show_again(self, arguments: list[str]) -> None:
        """Come back to the front (a second start of the program), and open what it was given."""
        self.complete()
        self.background.show_window()
        if not arguments:
            return
        path = next((one for one in arguments if not one.startswith("--")), None)
        if self.busy():
            self.say(self.tr("What you started the program with is opened when this is done."))
        self.when_free(lambda: self.open_arguments(path, sample="--sample" in arguments))

    # ---- project and images

    def _project_changed(self) -> None:
        project = self.session.project
        self.stack.setCurrentIndex(0 if project is None else 1)
        if project is not None and self.end_notice is not None:
            self.end_notice.forget_project()
        name = "" if project is None else project.name
        self._unreadable.clear()
        self._files.clear()
        self.step_bar.set_project(name, read_only=project is not None and project.read_only)
        self.setWindowTitle(plain_title(f"{name} - CellSeg1 Studio" if name else "CellSeg1 Studio"))
        self._clear_banners()
        self.resume_offer.show_run(None)
        self._show_storage_problem("" if project is None else project.storage_problem or "")
        read_only = project is not None and project.read_only
        self.canvas.read_only = read_only
        self.images.set_read_only(read_only)
        self._drop.enabled = not read_only
        if project is not None and read_only:
            from app.widgets.banner import Banner

            self._banners.addWidget(Banner(project.why_read_only, kind="warning", parent=self))
        if project is None:
            self.projects.fill_start_page()
            self.canvas.set_image(None)
        else:
            self.show_step("annotate")
        self._update_possible()
        self._tell_preferences()

    def _clear_banners(self) -> None:
        while self._banners.count():
            self._remove_first_banner()

    def _remove_first_banner(self) -> None:
        item = self._banners.takeAt(0)
        widget = None if item is None else item.widget()
        if widget is not None:
            widget.deleteLater()

    def _row(self, image_id: str) -> ImageRow:
        from app.shell.image_list.rows import ImageRow

        project = self.session.require_project()
        entry = project.image(image_id)
        problem = {"missing": self.tr("missing"), "changed": self.tr("changed")}.get(self._files.get(image_id, ""), "")
        if not problem and image_id in self._unreadable:
            problem = self.tr("damaged")
        return ImageRow(
            id=image_id,
            name=entry.name,
            state=project.image_state(image_id),
            cells=project.cell_count(image_id),
            thumbnail=None,
            problem=problem,
        )

    def _fill_images(self) -> None:
        project = self.session.project
        self._check_files()
        self.images.set_rows([] if project is None else [self._row(image.id) for image in project.images])
        self.images.set_current(self.session.image_id)
        self._show_canvas()
        self._update_possible()

    def _check_files(self) -> None:
        """Find out in a thread which files are missing or changed; folder by folder, as a file server may be away."""
        project = self.session.project
        if project is None:
            return
        folders: dict[str, list[str]] = {}
        for entry in project.images:
            folders.setdefault(str(Path(entry.file).parent), []).append(entry.id)
        for ids in folders.values():
            self.session.run(
                partial(_states_of, project, ids),
                partial(self._files_checked, project),
                self.tr("Looking at the images"),
                by=self.session.looking,
            )

    def _files_checked(self, project: Project, states: dict[str, str]) -> None:
        if self.session.project is not project:
            return
        changed = [one for one, state in states.items() if self._files.get(one, "ok") != state]
        self._files.update(states)
        for image_id in changed:
            # It is another file now, or there again: what could not be read may be readable.
            damaged = image_id in self._unreadable
            self._unreadable.discard(image_id)
            if self._is_there(image_id):
                self.images.update_row(self._row(image_id))
                if damaged and states[image_id] != "missing":
                    self.images.renew_thumbnail(image_id)

    def _image_state_changed(self, image_id: str) -> None:
        if self._is_there(image_id):
            self.images.update_row(self._row(image_id))
            self.images.renew_thumbnail(image_id)
            self._update_possible()

    def _is_there(self, image_id: str) -> bool:
        project = self.session.project
        return project is not None and any(one.id == image_id for one in project.images)

    def _make_thumbnail(self, image_id: str) -> None:
        project = self.session.project
        if project is None:
            return
        from app.project.thumbnails import thumbnail

        def make() -> Path | str:
            try:
                return thumbnail(project, image_id)
            except CellSeg1Error:
                # Its file cannot be read; or the image was removed meanwhile, which is nothing to be told.
                return _states_of(project, [image_id]).get(image_id, "missing")

        def made(path: Path | str) -> None:
            if self.session.project is not project or not self._is_there(image_id):
                return
            if isinstance(path, str):
                if path != "missing":
                    self._mark_unreadable(image_id)
            else:
                self._unreadable.discard(image_id)
                self.images.set_thumbnail(image_id, QImage(str(path)))

        self.session.run(make, made, self.tr("Making a thumbnail"), by=self.session.looking)

    def _mark_unreadable(self, image_id: str) -> None:
        """Say in the list that an image cannot be read, before anybody opens it."""
        project = self.session.project
        if project is None or image_id in self._unreadable or all(one.id != image_id for one in project.images):
            return
        if not project.is_there():
            return  # Its folder was moved: no image of it is damaged.
        self._unreadable.add(image_id)
        self.images.update_row(self._row(image_id))

    def _set_flag(self, ids: list[str], flag: str, value: bool) -> None:
        project = self.session.project
        if project is None or project.read_only:
            return
        self.canvas.settle()
        ids = [one for one in ids if self._is_there(one)]
        unknown = [one for one in ids if not project.image(one).n_z]
        self._set_flag_now([one for one in ids if one not in unknown], flag, value)
        if unknown:
            # They are read first, which may take a while, to know their planes.
            self.session.look_at_images(unknown, lambda: self._set_flag_now(unknown, flag, value))

    def _set_flag_now(self, ids: list[str], flag: str, value: bool) -> None:
        planes = 0
        for image_id in ids:
            try:
                planes += self.session.set_flag(image_id, flag, value)
            except CellSeg1Error as error:
                self.say(str(error))
        if planes > len(ids):
            said = {
                ("training", True): self.tr("{n} planes are used for training: those with cells."),
                ("training", False): self.tr("{n} planes are not used for training any more."),
                ("checked", True): self.tr("{n} planes are checked: those with cells or a prediction."),
                ("checked", False): self.tr("{n} planes are not checked any more."),
            }[flag, value]
            self.say(said.format(n=planes))

    # ---- shown image

    def _show_canvas(self) -> None:
        project = self.session.project
        self.canvas_stack.setCurrentIndex(1 if project is not None and not project.images else 0)
        self.tool_column.set_usable(self.session.document is not None)

    def _image_changed(self) -> None:
        session, canvas = self.session, self.canvas
        canvas.set_document(None)
        canvas.set_image(session.plane, session.display)
        canvas.set_document(session.document)
        size = session.pixel_size()
        canvas.set_pixel_size(size)
        self.status.set_pixel_size(size)
        self.images.set_current(session.image_id)
        self._show_canvas()
        self._update_possible()
        if self.focusWidget() in (None, self.step_bar.project_button):
            # Nobody chose the project menu: a fresh window puts the focus on its first button.
            canvas.setFocus()

    def _update_undo(self) -> None:
        document = self.session.document
        undo, redo = self.actions_["undo"], self.actions_["redo"]
        undo.setEnabled(document is not None and document.can_undo and self._may_travel())
        redo.setEnabled(document is not None and document.can_redo and self._may_travel())
        undo.setText(
            self.tr("Undo {what}").format(what=shown(document.undo_name))
            if document and document.can_undo
            else self.tr("Undo")
        )
        redo.setText(
            self.tr("Redo {what}").format(what=shown(document.redo_name))
            if document and document.can_redo
            else self.tr("Redo")
        )

    def _may_travel(self) -> bool:
        return not self.canvas.read_only and not self.canvas.waiting

    def _show_proposals(self) -> None:
        shown = self.step() in ("predict", "review")
        self.canvas.set_proposals(self.session.proposals.layer() if shown else None)

    def _show_display(self) -> None:
        if self.session.display is not None:
            self.canvas.set_display(self.session.display)

    def _step_plane(self, step: int) -> None:
        image = self.session.image
        if image is None:
            return
        if image.n_z > 1:
            self.session.set_plane(z=self.session.z + step)
        elif image.n_t > 1:
            self.session.set_plane(t=self.session.t + step)

    # ---- steps

    def step(self) -> str:
        """Return the name of the step that is shown."""
        return STEPS[self.panels.currentIndex()]

    def show_step(self, name: str) -> None:
        """Show a step's panel and the tools that belong to it."""
        if name not in STEPS:
            return
        self.canvas.settle()
        self.panels.setCurrentIndex(STEPS.index(name))
        self.step_bar.set_step(name)
        drawing = name in ("annotate", "review")
        self.tool_column.set_offered(None if drawing else ("select",))
        if not drawing or self.canvas.tool.name == "select":
            self.canvas.set_tool("brush" if name == "annotate" else "select")
        self.canvas.set_marks([])
        self._show_proposals()
        shown = getattr(self.panels.currentWidget(), "shown", None)
        if shown is not None:
            shown()

    def _update_possible(self) -> None:
        project = self.session.project
        there: set[str] = set()
        missing: dict[str, str] = {}
        if project is not None:
            there.add("project")
            if self.session.plane is not None:
                there.add("image")
            if self.session.document is not None:
                there.add("document")
            cells = any(project.cell_count(image.id) for image in project.images)
            if not cells:
                missing["train"] = self.tr("No cells are drawn yet.")
            if not project.images:
                missing["predict"] = missing["annotate"] = self.tr("There are no images yet.")
            if not any(run.kind == "predict" for run in project.runs):
                missing["review"] = self.tr("Nothing is predicted yet.")
                if not cells:
                    missing["measure"] = self.tr("Nothing is drawn or predicted yet.")
        self.actions_.enable(there)
        self.step_bar.set_possible(missing)
        self._update_undo()
        self._show_device()

    def _show_device(self) -> None:
        device = self.preferences.values.device
        model = self.session.model
        name = self.session.backbone if model is None else model.stem
        self.status.set_device(f"{self.tr('auto') if device == 'auto' else device}: {name}")

    # ---- actions of the window itself

    def do_undo(self) -> None:
        """Undo."""
        self.canvas.undo()

    def do_redo(self) -> None:
        """Redo."""
        self.canvas.redo()

    def do_fit(self) -> None:
        """Fit the image."""
        self.canvas.fit()

    def do_actual_size(self) -> None:
        """Show one image pixel as one screen pixel."""
        self.canvas.zoom_to(1.0)

    def do_overlay(self) -> None:
        """Change between fill, outline and nothing."""
        self.canvas.cycle_overlay()

    def do_next_unchecked(self) -> None:
        """Go to the next image that is not checked."""
        if not self._guard(self.session.next_unchecked):
            self.say(self.tr("All images are checked."))

    def do_next_image(self) -> None:
        """Go to the next image."""
        self._go(1)

    def do_previous_image(self) -> None:
        """Go to the previous image."""
        self._go(-1)

    def _go(self, step: int) -> None:
        project = self.session.project
        if project is None or self.session.image_id is None:
            return
        ids = [image.id for image in project.images]
        place = ids.index(self.session.image_id) + step
        if 0 <= place < len(ids):
            self._guard(self.session.show_image, ids[place])

    def do_step_annotate(self) -> None:
        """Show step 1."""
        self.show_step("annotate")

    def do_step_train(self) -> None:
        """Show step 2."""
        self.show_step("train")

    def do_step_predict(self) -> None:
        """Show step 3."""
        self.show_step("predict")

    def do_step_review(self) -> None:
        """Show step 4."""
        self.show_step("review")

    def do_step_measure(self) -> None:
        """Show step 5."""
        self.show_step("measure")

    def do_quit(self) -> None:
        """Close the window."""
        self.close()

    # ---- preferences, storage, closing

    def _train_on(self, model: Path | None) -> None:
        self.train.start_from(model)
        self.show_step("train")

    def _apply_preferences(self) -> None:
        from app.canvas.layers.cells import Overlay

        values = self.preferences.values
        choose_library(Path(values.library_folder) if values.library_folder else None)
        theme = current_theme()
        if theme is not None and theme.choice != values.theme:
            theme.choose(values.theme)
        self.canvas.set_brush_size(round(values.brush_size))
        self.canvas.protect = values.protect_cells
        overlay = Overlay(values.overlay_mode, values.overlay_opacity, max(1, round(values.outline_width)))
        if overlay != self.canvas.overlay:
            self.canvas.set_overlay(overlay)
        self._show_device()

    def _tell_preferences(self, sentence: str = "") -> None:
        """Say what is wrong with the file of the preferences, each sentence once."""
        if sentence and self.isVisible() and sentence not in self._told:
            self._told.add(sentence)
            self.say(sentence)
        while self.session.project is not None and self.preferences.notes:
            self.say(self.preferences.notes.pop(0))

    def _remember_overlay(self, overlay: Overlay) -> None:
        self.preferences.set("overlay_mode", overlay.mode)
        self.preferences.set("overlay_opacity", overlay.opacity)
        self.preferences.set("outline_width", overlay.outline_width)

    def _storage_problem(self, sentence: str) -> None:
        """Show that the project cannot be written, for as long as that lasts (an empty sentence ends it)."""
        self._show_storage_problem(sentence)
        if not sentence:
            self.say(self.tr("Everything is saved again."))

    def _look_for_project(self) -> None:
        """Say at once when the folder of the open project is gone, before anything is drawn into nowhere."""
        project = self.session.project if self.is_complete else None
        if project is None or project.read_only:
            return
        problem = project.storage_problem or ""
        try:
            project.require_writable()
        except CellSeg1Error as error:
            problem = str(error)
        if problem != self._storage_shown:
            self._show_storage_problem(problem)

    def _show_storage_problem(self, sentence: str) -> None:
        self._storage_shown = sentence
        if self._storage_banner is not None:
            self._storage_banner.deleteLater()
            self._storage_banner = None
        if not sentence:
            return
        from app.widgets.banner import Banner

        self._storage_banner = Banner(sentence, kind="error", action=self.tr("Save elsewhere..."), parent=self)
        self._storage_banner.acted.connect(self.actions_["save_elsewhere"].trigger)
        self._storage_place.addWidget(self._storage_banner)

    def _may_leave(self) -> bool:
        """Whether the open project may be left: nothing is under way in it, or the user has decided about it."""
        if self._leaving or self.session.adding or self.session.waiting:
            self.say(self.session.waiting or self.tr("The images are still being added; wait for the end of that."))
            return False
        self._leaving = True
        try:
            self.canvas.settle()
            return self.background.may_leave() and not self._may_lose_edits()
        finally:
            self._leaving = False

    def _may_lose_edits(self) -> bool:
        """Ask before leaving while edits are only in memory; True when the user wants to stay."""
        project = self.session.project
        if project is None or not project.unsaved:
            return False
        if self.background.hidden:
            self.background.show_window()
        answer = MessageBox.ask(
            self,
            self.tr("Not everything is saved"),
            self.tr("The project cannot be written, and closing now loses the last edits. Save it elsewhere first?"),
            QMessageBox.StandardButton.Save | QMessageBox.StandardButton.Discard | QMessageBox.StandardButton.Cancel,
            QMessageBox.Icon.Warning,
        )
        if answer == QMessageBox.StandardButton.Save:
            self._guard(self.projects.do_save_elsewhere)
            return bool(project.unsaved)
        return answer != QMessageBox.StandardButton.Discard

    def _restore(self, name: str, restore: Callable[[QByteArray], Any]) -> None:
        kept = self.preferences.layout(name)
        if kept:
            restore(QByteArray(kept))

    def _remember_geometry(self) -> None:
        self.preferences.set_layout("geometry", bytes(self.saveGeometry().data()))
        self.preferences.set_layout("splitter", bytes(self.splitter.saveState().data()))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Ask what becomes of running jobs; otherwise save and end."""
        # Closed before it was loaded: the rest of this, and whoever runs the window, may count on all parts.
        self.complete()
        if self._leaving or self.session.adding or self.session.waiting:
            # Images that come in and edits that are being worked out would be lost.
            event.ignore()
            self.when_free(self.close)
            return
        self._leaving = True
        try:
            self.canvas.settle()
            stay = not self.background.may_close() or self._may_lose_edits()
        finally:
            self._leaving = False
        if stay:
            event.ignore()
            return
        self._remember_geometry()
        self.session.close_project()
        event.accept()
        self.background.leave()

    def quit_now(self) -> None:
        """End without a question: running trainings are stopped, kept and can be resumed."""
        self.complete()
        self.background.stop_jobs = True
        self.close()

    def shut_down(self) -> None:
        """Let go of everything; called once after the event loop has ended."""
        self.complete()
        self.canvas.set_document(None)
        self.session.close()

    def event(self, event: QEvent) -> bool:
        """Save when the window loses the focus: the next program may be the one that crashes the computer.

        When it comes back, that program may have moved the project's folder.
        """
        if event.type() == QEvent.Type.WindowDeactivate:
            self.save_quietly()
        elif event.type() == QEvent.Type.WindowActivate:
            self._look_for_project()
        return super().event(event)
