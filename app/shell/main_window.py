"""The window: always the same places; the five steps change the right panel and the tools, never the canvas."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, QSize, Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from ..project import recent
from ..theme import app_icon
from ..widgets.plain import plain_title
from ..widgets.showing import screen_room
from .loading import Loading
from .start_page import StartPage
from .step_bar import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QCloseEvent, QPaintEvent

    from ..canvas import Canvas
    from ..preferences.store import PreferencesStore
    from ..session.session import Session
    from .end_notice import EndNotice
    from .last_end import UnexpectedEnd
    from .project_commands import ProjectCommands

log = logging.getLogger(__name__)


class MainWindow(QWidget):
    """The whole window; `session` holds what is open, `area` is what one sees of it.

    Parameters
    ----------
    later
        Show the start page first and load everything else after it was painted.  Whoever needs the rest before that
        calls `complete`.
    """

    #: Everything is loaded and built.
    completed = Signal()

    session: Session
    canvas: Canvas

    def __init__(self, preferences: PreferencesStore, *, later: bool = False) -> None:
        super().__init__()
        self.preferences = preferences
        self.is_complete = False
        #: Says that the last window did not end as asked; None when it did.
        self.end_notice: EndNotice | None = None
        self.setWindowTitle("CellSeg1 Studio")
        self.setWindowIcon(app_icon())
        self.stack = QStackedWidget()
        self.start_page = StartPage()
        self.start_page.note.dismissed.connect(preferences.notes.clear)
        if preferences.notes:
            self.start_page.note.show_message(" ".join(preferences.notes))
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
        self.fill_start_page()
        self._loading = Loading(self)
        self._loading.done.connect(self.complete)
        if not later:
            self.complete()

    # ---- the start

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Load the rest once there is something to see."""
        super().paintEvent(event)
        self._loading.begin()

    def complete(self) -> None:
        """Build everything that the start page does not need; again: nothing happens."""
        self._loading.stop()
        if self.is_complete:
            return
        self.is_complete = True
        self._build()
        self._connect()
        self.applied.apply()
        self._restore("splitter", self.area.splitter.restoreState)
        self.possible.update()
        log.info("The window is complete.")
        self.completed.emit()

    def _build(self) -> None:
        from ..canvas import Canvas
        from ..session.clicks import Clicks
        from ..session.session import Session
        from .actions import Actions
        from .applied_preferences import AppliedPreferences
        from .background import Background
        from .closing import Closing
        from .help_commands import HelpCommands
        from .image_commands import ImageCommands
        from .image_list.files import ImageFiles
        from .image_list.flags import ImageFlags
        from .layout import WorkArea
        from .menu import ProjectMenu
        from .possible import Possible
        from .project_commands import ProjectCommands
        from .shown_image import ShownImage
        from .storage import Storage
        from .view_commands import ViewCommands

        session = self.session = Session(self.preferences, self)
        canvas = self.canvas = Canvas()
        self.clicks = Clicks(session, canvas)
        self.actions_ = Actions(self)
        area = self.area = WorkArea(session, canvas)
        self.stack.addWidget(area)
        self.shown_image = ShownImage(session, canvas, area)
        self.possible = Possible(session, canvas, area, self.actions_)
        self.files = ImageFiles(session, area.images)
        self.flags = ImageFlags(self)
        self.storage = Storage(session, area.notes)
        self.applied = AppliedPreferences(self)
        self.background = Background(self, session)
        self.closing = Closing(self, self.background, self.storage)
        self.view = ViewCommands(self)
        self.image_commands = ImageCommands(self)
        self.projects = ProjectCommands(self, self.image_commands)
        self.help = HelpCommands(self, self.projects, area.step_bar)
        self.actions_.connect_all(self.projects, self.image_commands, self.help, self.view)
        self.menu = ProjectMenu(self.actions_, self)
        area.step_bar.set_menu(self.menu)

    def _connect(self) -> None:
        from .wiring import connect

        self.session.project_changed.connect(self._project_changed)
        self.projects.recent_changed.connect(self.fill_start_page)
        self.menu.recent.chosen.connect(self.projects.open_path)
        connect(self)

    def _ready(self) -> ProjectCommands:
        """Return the commands about projects, which the start page asks for; they may not be loaded yet."""
        self.complete()
        return self.projects

    def _connect_start_page(self) -> None:
        page = self.start_page
        page.try_sample.connect(lambda: self._trigger("try_sample"))
        page.new_project.connect(lambda: self._trigger("new_project"))
        page.open_project.connect(lambda path: self._ready().open_path(path))
        page.import_project.connect(lambda: self._trigger("import_project"))
        page.forget_project.connect(lambda path: self._ready().forget(path))
        page.files_dropped.connect(lambda paths: self._ready().new_from(paths))

    def _trigger(self, name: str) -> None:
        self.complete()
        self.actions_[name].trigger()

    def fill_start_page(self) -> None:
        """Show the recent projects, if one is on the start page."""
        if self.stack.currentWidget() is self.start_page:
            self.start_page.set_recent(recent.recent())

    def tell_last_end(self, end: UnexpectedEnd, log_file: Path | None) -> None:
        """Say that the last window did not end as asked, and offer its project."""
        from .end_notice import EndNotice

        notice = EndNotice(self)
        there = end.project is not None and end.project.is_dir()
        notice.open_wanted.connect(lambda path: self._ready().open_path(path))
        notice.log_wanted.connect(lambda: self._show_log(end.report))
        self._outer.insertWidget(0, notice)
        self.end_notice = notice
        notice.tell(
            restarted=end.restarted,
            project=end.project if there else None,
            name=end.project.stem if end.project is not None else "",
            log=log_file,
        )

    def _show_log(self, report: str) -> None:
        self.complete()
        self.help.show_log(report)

    def open_arguments(self, path: str | None, *, sample: bool) -> None:
        """Open what the command line names."""
        if sample:
            self._ready().do_try_sample()
        elif path:
            self._ready().open_path(Path(path))

    def show_again(self, arguments: list[str]) -> None:
        """Come back to the front (a second start of the program), and open what it was given."""
        self.complete()
        self.background.show_window()
        if not arguments:
            return
        path = next((one for one in arguments if not one.startswith("--")), None)
        if self.closing.busy():
            self.say(self.tr("What you started the program with is opened when this is done."))
        self.when_free(lambda: self.open_arguments(path, sample="--sample" in arguments))

    # ---- what commands use

    @property
    def frame(self) -> QWidget:
        """The window itself: dialogs stand over it."""
        return self

    def say(self, sentence: str, action: str = "", do: Callable[[], None] | None = None) -> None:
        """Show a remark above the canvas for some seconds; longer when there is something to do about it.

        Without a project a sentence stays on the start page.
        """
        if self.session.project is None and not action:
            self.start_page.note.show_message(sentence)
        else:
            self.area.notes.say(sentence, action, do)

    def when_free(self, call: Callable[[], object]) -> None:
        """Call now, or when no dialog is open and nothing is being added any more."""
        self.closing.when_free(call)

    # ---- project and steps

    def _project_changed(self) -> None:
        project, area = self.session.project, self.area
        read_only = project is not None and project.read_only
        name = "" if project is None else project.name
        self.stack.setCurrentIndex(0 if project is None else 1)
        if project is not None and self.end_notice is not None:
            self.end_notice.forget_project()
        self.files.forget()
        self.setWindowTitle(plain_title(f"{name} - CellSeg1 Studio" if name else "CellSeg1 Studio"))
        area.step_bar.set_project(name, read_only=read_only)
        area.notes.clear_passing()
        area.notes.offer.show_run(None)
        area.notes.show_read_only("" if project is None else project.why_read_only)
        self.storage.show("" if project is None else project.storage_problem or "")
        self.canvas.read_only = read_only
        area.images.set_read_only(read_only)
        area.drop.enabled = not read_only
        if project is None:
            self.fill_start_page()
            self.canvas.set_image(None)
        else:
            self.start_page.note.clear()
            self.show_step("annotate")
        self.possible.update()
        self.applied.tell()

    def step(self) -> str:
        """Return the name of the step that is shown."""
        return self.area.step()

    def show_step(self, name: str) -> None:
        """Show a step's panel and the tools that belong to it."""
        if name not in STEPS:
            return
        area, canvas = self.area, self.canvas
        canvas.settle()
        area.show_page(name)
        if name not in ("annotate", "review") or canvas.tool.name == "select":
            canvas.set_tool("brush" if name == "annotate" else "select")
        canvas.set_marks([])
        self.session.proposals.set_drawn(name in ("predict", "review"))
        area.pages[STEPS.index(name)].shown()

    # ---- the end

    def _restore(self, name: str, restore: Callable[[QByteArray], object]) -> None:
        kept = self.preferences.layout(name)
        if kept:
            restore(QByteArray(kept))

    def _remember_geometry(self) -> None:
        self.preferences.set_layout("geometry", bytes(self.saveGeometry().data()))
        self.preferences.set_layout("splitter", bytes(self.area.splitter.saveState().data()))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Ask what becomes of running jobs; otherwise save and end."""
        # Closed before it was loaded: the rest of this, and whoever runs the window, may count on all parts.
        self.complete()
        if self.closing.under_way:
            event.ignore()
            self.when_free(self.close)
            return
        if not self.closing.may_close():
            event.ignore()
            return
        self._remember_geometry()
        self.session.close_project()
        event.accept()
        self.background.leave()

    def quit_now(self) -> None:
        """End without a question: running trainings are stopped, kept and can be resumed."""
        self.complete()
        self.closing.stop_jobs = True
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
        if self.is_complete:
            if event.type() == QEvent.Type.WindowDeactivate:
                self.storage.save_quietly()
            elif event.type() == QEvent.Type.WindowActivate:
                self.storage.look()
        return super().event(event)
