"""Make the pictures of the guide: ``python tests/bench/guide_pictures.py [docs/guide] [--all OUT]``.

The real window goes through every page and dialog, with a real (short) training and prediction on the sample, at
1366 x 768 and again at 200 % on a screen of 2732 x 1536, each light and dark.  The pictures that the guide shows go
to its folder; with --all, every picture goes to OUT, to be looked at.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 1366, 768
TITLE_BAR = 28
#: The pages: the guide has them light and dark, at both scales.
PAGES = ("start", "annotate", "train_before", "predict_after", "review", "measure_accuracy")
#: What else the guide shows, light and at 100 %.
SHOWN = (
    "new_project",
    "annotate_click",
    "train_while",
    "measure_cells",
    "compare",
    "export_masks",
    "close_job",
    "error",
)
GUIDE = {(name, "light", 1) for name in SHOWN} | {
    (name, theme, scale) for name in PAGES for theme in ("light", "dark") for scale in (1, 2)
}


def picture_name(name: str, theme: str, scale: int) -> str:
    """Return the file name of a picture."""
    return f"{name}{'_dark' if theme == 'dark' else ''}{'_200' if scale == 2 else ''}.png"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "docs" / "guide")
    parser.add_argument("--all", type=Path, help="folder for all pictures")
    parser.add_argument("--epochs", type=int, default=12, help="length of the training")
    parser.add_argument("--scale", type=int, choices=(1, 2), help="make the pictures of one scale only")
    parser.add_argument("--only", nargs="+", help="parts to go through (see PARTS)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return walk(options)
    for scale in (options.scale,) if options.scale else (1, 2):
        with tempfile.TemporaryDirectory(prefix="guide-") as home:
            # A screen of our own: the scale cannot be changed in a process that has a window already.
            screen = {"name": "s", "x": 0, "y": 0, "width": WIDTH * scale, "height": HEIGHT * scale}
            config = Path(home) / "screen.json"
            config.write_text(json.dumps({"screens": [{**screen, "logicalDpi": 96, "logicalBaseDpi": 96, "dpr": 1}]}))
            environment = os.environ | {
                "QT_QPA_PLATFORM": f"offscreen:configfile={config}",
                "QT_SCALE_FACTOR": str(scale),
                "CELLSEG1_STUDIO_HOME": str(Path(home) / "studio"),
                "HOME": str(Path(home)),
                "PYTHONPATH": str(ROOT),
            }
            arguments = [sys.executable, __file__, *sys.argv[1:], "--child", "--scale", str(scale)]
            code = subprocess.run(arguments, env=environment, cwd=ROOT, check=False).returncode
            if code:
                return code
    total = sum(path.stat().st_size for path in options.out.glob("*.png"))
    sys.stdout.write(f"{total / 1e6:.1f} MB in {options.out}\n")
    return 0


class Walk:
    """The window, and what a user does in it."""

    def __init__(self, options: argparse.Namespace) -> None:
        from PySide6.QtWidgets import QApplication

        from app.preferences.store import PreferencesStore
        from app.shell.main_window import MainWindow
        from app.theme import apply_theme

        self.options = options
        logging.getLogger().setLevel(logging.INFO)
        self.app = QApplication.instance() or QApplication(sys.argv[:1])
        self.app.setQuitOnLastWindowClosed(False)
        self.app.setApplicationName("CellSeg1 Studio")
        self.preferences = PreferencesStore()
        self.preferences.set("theme", "light")
        apply_theme(self.app, "light")
        self.window = MainWindow(self.preferences)
        self.window.setGeometry(0, 0, WIDTH, HEIGHT)
        self.window.show()
        self.window.activateWindow()
        self.session = self.window.session
        self.canvas = self.window.canvas
        self.home = Path(os.environ["CELLSEG1_STUDIO_HOME"])
        self.settle()

    # ---- waiting and looking

    def settle(self, condition=lambda: True, seconds: float = 3600.0, quiet: float = 0.4) -> None:
        """Let the window work until `condition()` and some moments more."""
        from PySide6.QtCore import QEvent

        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise SystemExit("the window did not come to what was waited for")
            self.app.processEvents()
            time.sleep(0.01)
        end = time.monotonic() + quiet
        while time.monotonic() < end:
            self.app.processEvents()
            time.sleep(0.005)
        # Without an event loop nothing that was given up would go.
        self.app.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    def shoot(self, name: str) -> None:
        """Save what is on the screen, light and dark."""
        for theme in ("light", "dark"):
            wanted = (name, theme, self.options.scale) in GUIDE
            if not wanted and self.options.all is None:
                continue
            if self.preferences.values.theme != theme:
                self.preferences.set("theme", theme)
            self.settle(quiet=0.25)
            file = picture_name(name, theme, self.options.scale)
            self._save(self._screen(), [self.options.out / file] * wanted, self.options.all and self.options.all / file)
        self.preferences.set("theme", "light")
        self.settle(quiet=0.1)

    def _screen(self):
        """Paint the window and what lies over it, dialogs with a plain title bar."""
        from PySide6.QtCore import QRect, Qt
        from PySide6.QtGui import QPainter, QPixmap
        from PySide6.QtWidgets import QDialog

        scale = self.options.scale
        picture = QPixmap(WIDTH * scale, HEIGHT * scale)
        picture.setDevicePixelRatio(scale)
        painter = QPainter(picture)
        painter.drawPixmap(0, 0, self.window.grab())
        palette = self.app.palette()
        others = [one for one in self.app.topLevelWidgets() if one.isVisible() and one is not self.window]
        for widget in sorted(others, key=lambda one: one is self.app.activePopupWidget()):
            place = widget.geometry()
            if isinstance(widget, QDialog):
                place.moveTop(max(place.top(), TITLE_BAR))
                place.moveTop(min(place.top(), max(TITLE_BAR, HEIGHT - place.height())))
                bar = QRect(place.left(), place.top() - TITLE_BAR, place.width(), TITLE_BAR)
                painter.fillRect(bar, palette.mid())
                painter.setPen(palette.windowText().color())
                painter.drawText(bar, Qt.AlignmentFlag.AlignCenter, widget.windowTitle())
                painter.drawPixmap(place.topLeft(), widget.grab())
                painter.setPen(palette.dark().color())
                painter.drawRect(bar.united(place).adjusted(-1, -1, 0, 0))
            else:
                painter.drawPixmap(place.topLeft(), widget.grab())
        painter.end()
        return picture

    def _save(self, picture, *targets) -> None:
        small = _few_colours(_to_pil(picture))
        for target in targets:
            for path in target if isinstance(target, list) else [target] if target else []:
                path.parent.mkdir(parents=True, exist_ok=True)
                small.save(path, optimize=True)

    def modal(self, name: str, open_, prepare=None) -> None:
        """Open a dialog that waits for an answer, save a picture of it, and leave it."""
        from PySide6.QtCore import QTimer

        def look() -> None:
            dialog = self.app.activeModalWidget()
            if dialog is None:
                raise SystemExit(f"{name}: no dialog")
            try:
                if prepare is not None:
                    prepare(dialog)
                self.shoot(name)
            finally:
                looked.append(name)
                dialog.reject()

        looked: list[str] = []
        QTimer.singleShot(400, look)
        open_()
        # Some dialogs wait for their answer, others are just open.
        self.settle(lambda: bool(looked), quiet=0.2)

    # ---- mouse and keys

    def at(self, x: float, y: float):
        """Return the place of an image point in the canvas."""
        return self.canvas.to_widget(x, y).toPoint()

    def point(self, x: float, y: float) -> None:
        """Move the pointer over an image point."""
        from PySide6.QtTest import QTest

        QTest.mouseMove(self.canvas, self.at(x, y))
        self.settle(quiet=0.1)

    def drag(self, points, *, release: bool = True) -> None:
        """Draw through image points with the mouse held."""
        from PySide6.QtCore import QEvent, QPointF, Qt
        from PySide6.QtGui import QMouseEvent

        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        kinds = [QEvent.Type.MouseButtonPress] + [QEvent.Type.MouseMove] * (len(points) - 1)
        steps = [*zip(kinds, points, strict=True)]
        if release:
            steps.append((QEvent.Type.MouseButtonRelease, points[-1]))
        for kind, (x, y) in steps:
            place = QPointF(self.at(x, y))
            button = none if kind == QEvent.Type.MouseMove else left
            held = none if kind == QEvent.Type.MouseButtonRelease else left
            event = QMouseEvent(
                kind, place, self.canvas.mapToGlobal(place), button, held, Qt.KeyboardModifier.NoModifier
            )
            self.app.sendEvent(self.canvas, event)
            self.app.processEvents()

    def click(self, x: float, y: float) -> None:
        """Click an image point."""
        self.drag([(x, y)])

    def key(self, key, widget=None) -> None:
        """Press a key."""
        from PySide6.QtTest import QTest

        QTest.keyClick(widget or self.canvas, key)
        self.settle(quiet=0.1)

    def show_image(self, part: str) -> None:
        """Show the image whose name contains `part`."""
        project = self.session.require_project()
        image = next(one for one in project.images if part in one.name)
        if self.session.image_id != image.id:
            self.session.show_image(image.id)
        self.settle(lambda: self.session.image_id == image.id and self.session.plane is not None)

    def truth(self, part: str):
        """Return the outlines (lists of x, y) of the cells of a sample image."""
        import cv2
        import numpy as np

        from cellseg1.masks import read_mask

        (path,) = (ROOT / "resources" / "sample_project").rglob(f"masks/*{part}*")
        labels = read_mask(path).labels
        outlines = []
        for cell in np.unique(labels)[1:]:
            found, _ = cv2.findContours((labels == cell).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            largest = max(found, key=len)[:, 0, :]
            if len(largest) > 12:
                outlines.append([(float(x) + 0.5, float(y) + 0.5) for x, y in largest])
        return outlines

    # ---- parts

    def start(self) -> None:
        """Start page without projects, new project."""
        self.shoot("start_empty")
        self.modal("new_project_empty", lambda: self.window.projects.new_from([]))
        folder = self.home.parent / "Pictures" / "Nuclei"
        folder.mkdir(parents=True)
        for image in (ROOT / "resources" / "sample_project" / "test" / "images").iterdir():
            (folder / image.name).write_bytes(image.read_bytes())
        self.modal("new_project", lambda: self.window.projects.new_from([folder]))

    def empty(self) -> None:
        """Every step of a project without images."""
        self.session.create_project(self.home / "projects", "Empty")
        self.settle()
        for step in ("annotate", "train", "predict", "review", "measure"):
            self.window.show_step(step)
            self.shoot(f"empty_{step}")
        self.session.close_project()
        self.settle()

    def sample(self) -> None:
        """Open the sample."""
        self.window.projects.do_try_sample()
        self.settle(lambda: self.session.plane is not None)
        self.settle(quiet=1.5)
        self.shoot("sample")

    def annotate(self) -> None:
        """Paint with several tools."""
        from PySide6.QtCore import Qt

        self.window.show_step("annotate")
        self.show_image("nuclei_b")
        self.canvas.fit()
        self.shoot("annotate_empty")
        outlines = sorted(self.truth("nuclei_b"), key=len, reverse=True)
        height, width = self.session.plane.shape[:2]
        inside = [
            one
            for one in outlines
            if min(min(one)) > 24 and max(x for x, _y in one) < width - 24 and max(y for _x, y in one) < height - 24
        ]
        cut, lassoed, brushed, cornered, clicked = inside[:5]
        self.window.view.choose_tool("lasso")
        for outline in outlines:
            if len(outline) > 24 and outline not in (lassoed, brushed, cornered, clicked):
                self.drag(outline)
        self.settle(lambda: len(self.session.document.cells) >= 20)
        self.drag(lassoed[: len(lassoed) * 2 // 3], release=False)
        self.shoot("annotate_lasso")
        self.key(Qt.Key.Key_Escape)
        self.window.view.choose_tool("brush")
        self.canvas.set_brush_size(12)
        x, y = middle_of(brushed)
        self.drag([(x - 4, y - 4), (x, y - 4), (x + 4, y), (x, y + 4)], release=False)
        self.shoot("annotate")
        self.key(Qt.Key.Key_Escape)
        self.window.view.choose_tool("polygon")
        for x, y in cornered[:: max(1, len(cornered) // 5)][:4]:
            self.click(x, y)
        self.shoot("annotate_polygon")
        self.key(Qt.Key.Key_Escape)
        self.window.view.choose_tool("split")
        x, y = middle_of(cut)
        self.drag([(x, y - 30), (x, y), (x, y + 30)], release=False)
        self.shoot("annotate_split")
        self.key(Qt.Key.Key_Escape)
        self.window.view.choose_tool("click")
        self.shoot("annotate_click_preparing")
        self.settle(lambda: self.window.clicks.state == "ready")
        self.click(*middle_of(clicked))
        self.settle(lambda: self.canvas.tools["click"].preview is not None)
        self.shoot("annotate_click")
        self.key(Qt.Key.Key_Return)
        self.window.view.choose_tool("select")
        self.canvas.select([self.session.document.cells.ids()[0]])
        self.canvas.show_box(self.canvas.box_of(int(self.session.document.cells.ids()[0])), closely=True)
        self.shoot("annotate_close")
        self.canvas.fit()
        self.canvas.select([])
        for mode in ("outline", "none"):
            self.canvas.cycle_overlay()
            self.shoot(f"annotate_{mode}")
        self.canvas.cycle_overlay()
        self._view_options()

    def _view_options(self) -> None:
        from app.widgets.fold import FoldSection

        for fold in self.window.area.annotate.findChildren(FoldSection):
            fold.set_open(True)
        self.shoot("annotate_view")
        area = self.window.area.annotate.scroll_area.verticalScrollBar()
        area.setValue(area.maximum())
        self.shoot("annotate_view_end")
        area.setValue(0)
        for fold in self.window.area.annotate.findChildren(FoldSection):
            fold.set_open(False)

    def region(self) -> None:
        """Annotate only a part."""
        self.show_image("nuclei_b")
        height, width = self.session.plane.shape[:2]
        self.window.view.choose_tool("region")
        self.drag([(width * 0.2, height * 0.2), (width * 0.5, height * 0.5), (width * 0.8, height * 0.7)])
        self.shoot("annotate_region")
        self.session.document.undo()
        self.window.view.choose_tool("brush")

    def annotate_dialogs(self) -> None:
        """Axes, pixel size, menus."""
        self.modal("axes", self.window.area.annotate.change_axes)
        self.modal("pixel_size", self.window.area.annotate.change_pixel_size)
        self._menu("menu_project", self.window.menu)
        self._menu("menu_image", self.window.area.images.menu())

    def _menu(self, name: str, menu) -> None:
        menu.popup(self.window.mapToGlobal(self.window.rect().topLeft()))
        self.settle()
        self.shoot(name)
        menu.close()

    def train(self) -> None:
        """Before, while, after."""
        self.show_image("nuclei_a")
        self.window.show_step("train")
        panel = self.window.area.train
        self.settle(quiet=6)
        self.shoot("train_before")
        bar = panel.scroll_area.verticalScrollBar()
        panel.wishes.advanced.set_open(True)
        self.settle()
        bar.setValue(bar.maximum())
        self.shoot("train_advanced")
        panel.wishes.advanced.set_open(False)
        bar.setValue(0)
        wish = panel.wishes.wish()
        # At 200 % the same again is for the layout only.
        epochs = self.options.epochs if self.options.scale == 1 else max(2, self.options.epochs // 4)
        wish = dataclasses.replace(wish, overrides={**wish.overrides, "epoch_max": epochs})
        job = self.session.start_training(wish)
        previews: list[object] = []
        job.previewed.connect(previews.append)
        shares = lambda: getattr(job.last_progress, "share", 0) or 0  # noqa: E731
        self.settle(lambda: (previews and shares() > 0.3) or self.session.training is None)
        if self.session.training is not None:
            self._while_training()
        self.settle(lambda: self.session.training is None, 3600)
        self.settle(quiet=1)
        self.shoot("train_after")

    def _while_training(self) -> None:
        self.settle(quiet=1)
        self.shoot("train_while")
        popup = self.window.area.job_bar.open_popup()
        self.shoot("job_popup")
        popup.close()
        self.modal("close_job", self.window.closing.may_close)
        self.window.show_step("annotate")
        self.shoot("annotate_while_training")
        self.window.show_step("train")

    def predict(self) -> None:
        """Before, while, after."""
        self.show_image("nuclei_c")
        self.window.show_step("predict")
        panel = self.window.area.predict
        panel.images.box.setCurrentIndex(max(panel.images.box.findData("all"), 0))
        panel.images.box.activated.emit(panel.images.box.currentIndex())
        self.settle()
        self.shoot("predict_before")
        panel.press()
        self.settle(quiet=1.5)
        self.shoot("predict_while")
        self.settle(lambda: self.session.prediction is None, 600)
        self.show_image("nuclei_d")
        self.show_image("nuclei_c")
        self.settle(lambda: self.session.proposals.layer() is not None)
        self.settle(quiet=1)
        self.shoot("predict_after")
        bar = panel.scroll_area.verticalScrollBar()
        bar.setValue(bar.maximum())
        self.shoot("predict_after_end")
        bar.setValue(0)

    def review(self) -> None:
        """Choose, accept and reject proposals, and mark images as checked."""
        self.window.show_step("review")
        self.settle(quiet=1)
        self.shoot("review_all")
        panel = self.window.area.review
        panel.step(1)
        panel.accept_current()
        panel.accept_current()
        panel.reject_current()
        self.settle(quiet=0.5)
        self.shoot("review")
        bar = panel.scroll_area.verticalScrollBar()
        bar.setValue(bar.maximum())
        self.shoot("review_end")
        bar.setValue(0)
        for part in ("nuclei_c", "nuclei_d"):
            self.show_image(part)
            self.settle(lambda: self.session.proposals.layer() is not None, quiet=1)
            self.session.proposals.accept()
            self.settle(quiet=0.5)
            if part == "nuclei_c":
                self.shoot("review_done")
            self.session.set_checked(True)
            self.settle(quiet=1)
        self.shoot("review_checked")

    def measure(self) -> None:
        """Accuracy, cells, side by side."""
        self.show_image("nuclei_c")
        self.window.show_step("measure")
        panel = self.window.area.measure
        self.settle()
        self.shoot("measure_before")
        accuracy = panel.accuracy
        accuracy.truth.set_folder(self.session.require_project().folder / "truth")
        self.settle()
        accuracy.press()
        self.settle(lambda: accuracy.report is not None)
        accuracy.table.choose(1)
        self.settle(quiet=1)
        self.shoot("measure_accuracy")
        bar = accuracy.scroll_area.verticalScrollBar()
        bar.setValue(bar.maximum())
        accuracy.mistakes.table.choose(0)
        self.settle()
        self.shoot("measure_errors")
        bar.setValue(0)
        accuracy.open_compare()
        self.settle(quiet=2)
        self.shoot("compare")
        accuracy._compare.close()
        self.canvas.fit()
        panel.tabs.setCurrentIndex(1)
        self.settle(lambda: panel.cells.rows is not None, quiet=1)
        panel.cells.table.choose(4)
        self.shoot("measure_cells")
        panel.tabs.setCurrentIndex(0)

    def dialogs(self) -> None:
        """Every dialog about the program."""
        help_ = self.window.help
        self.modal("models", help_.do_models)
        self.modal("export_masks", self.window.image_commands.do_export_masks)
        self.modal("preferences", help_.do_preferences)
        self.modal("computer", help_.do_computer, lambda _dialog: self.settle(quiet=8))
        self.modal("shortcuts", help_.do_shortcuts)
        self.modal("about", help_.do_about)
        help_.do_log()
        self.shoot("log")
        help_._log_window.close()
        self._import()
        self.modal("copy_or_link", self.window.image_commands._ask_copy)
        self.modal("rename", self.window.projects.do_rename_project)
        self.modal("published_model", self._published)

    def _published(self) -> None:
        from app.pages.models.published import PublishedDialog

        PublishedDialog(Path("lora_weights.pth"), self.window).exec()

    def _import(self) -> None:
        folder = self.home / "incoming"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "masks").mkdir(exist_ok=True)
        source = ROOT / "resources" / "sample_project" / "train"
        (image,), (mask,) = (source / "images").iterdir(), (source / "masks").iterdir()
        (folder / "images" / "plate_a01.png").write_bytes(image.read_bytes())
        (folder / "images" / "plate_a02.png").write_bytes(image.read_bytes())
        (folder / "images" / "plate_a03.png").write_bytes(image.read_bytes()[:3000])
        (folder / "masks" / "plate_a01.png").write_bytes(mask.read_bytes())
        (folder / "masks" / "plate_b07.png").write_bytes(mask.read_bytes())
        self.window.image_commands.add([folder / "images"], copy=True, masks=[folder / "masks"])
        self.settle(lambda: self._report() is not None, quiet=1)
        self.shoot("import_report")
        self._report().close()

    def _report(self):
        from app.pages.project.import_report import ImportReportDialog

        found = [one for one in self.app.topLevelWidgets() if isinstance(one, ImportReportDialog) and one.isVisible()]
        return found[0] if found else None

    def tour(self) -> None:
        """The five steps of the tour."""
        help_ = self.window.help
        self.window.show_step("annotate")
        help_.do_tour()
        for number in range(1, 6):
            self.shoot(f"tour_{number}")
            help_.tour.go_on()
        self.settle()

    def problems(self) -> None:
        """Errors and what is read-only."""
        from app.widgets.errors import show_error

        sentence = (
            "The image plate_b04.tif is missing from /home/me/images; find it again in the image list, "
            "or put it back where it was."
        )
        details = 'Traceback (most recent call last):\n  File "session.py", line 190\nFileNotFoundError: plate_b04.tif'
        dialog = show_error(self.window, sentence, details)
        self.shoot("error")
        dialog.close()
        self.window.storage.tell("The disk is full. Your edits are kept in memory; nothing was lost so far.")
        self.window.say("Everything is saved.")
        self.shoot("storage")
        self.window.storage.tell("")
        folder = self.session.require_project().folder
        self.session.close_project()
        self.settle()
        self.shoot("start")
        from app.project.project import Project

        holder = Project.open(folder)
        try:
            self.window.projects.open_path(folder)
            self.settle(lambda: self.session.plane is not None, quiet=1)
            for step in ("annotate", "train", "predict", "review"):
                self.window.show_step(step)
                self.shoot(f"read_only_{step}")
            self.session.close_project()
        finally:
            holder.close()
        self.window.projects.open_path(folder)
        self.settle(lambda: self.session.plane is not None)
        self.window.resize(self.window.minimumSize())
        for step in ("annotate", "measure"):
            self.window.show_step(step)
            self.shoot(f"small_{step}")
        self.window.setGeometry(0, 0, WIDTH, HEIGHT)


PARTS = (
    "start",
    "empty",
    "sample",
    "annotate",
    "region",
    "annotate_dialogs",
    "train",
    "predict",
    "review",
    "measure",
    "dialogs",
    "tour",
    "problems",
)


def _to_pil(picture):
    from PIL import Image
    from PySide6.QtGui import QImage

    image = picture.toImage().convertToFormat(QImage.Format.Format_RGB888)
    data = bytes(image.constBits())
    return Image.frombuffer("RGB", (image.width(), image.height()), data, "raw", "RGB", image.bytesPerLine(), 1)


def _few_colours(image):
    """Return the picture in 256 colours; the most frequent ones, which are the window's own, exactly."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(image).reshape(-1, 3)
    codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    known, counts = np.unique(codes, return_counts=True)
    frequent = np.sort(known[np.argsort(-counts)[:96]])
    place = np.minimum(np.searchsorted(frequent, codes), len(frequent) - 1)
    exact = frequent[place] == codes
    indices = place.astype(np.uint8)
    colours = np.stack([frequent >> 16, frequent >> 8 & 255, frequent & 255], 1).astype(np.uint8)
    rest = pixels[~exact]
    if len(rest):
        others = Image.fromarray(rest[None]).quantize(256 - len(colours), Image.Quantize.MEDIANCUT, 1, None, 0)
        indices[~exact] = np.asarray(others)[0] + len(colours)
        colours = np.vstack([colours, np.array(others.getpalette(), np.uint8).reshape(-1, 3)])[:256]
    small = Image.fromarray(indices.reshape(image.height, image.width), "P")
    small.putpalette(colours.tobytes())
    return small


def middle_of(outline):
    """Return the middle of an outline."""
    return sum(x for x, _y in outline) / len(outline), sum(y for _x, y in outline) / len(outline)


def walk(options: argparse.Namespace) -> int:
    """Go through the window in this process."""
    doing = Walk(options)
    for part in PARTS:
        if options.only is None or part in options.only:
            sys.stdout.write(f"{options.scale}: {part}\n")
            sys.stdout.flush()
            getattr(doing, part)()
    doing.session.close_project()
    doing.window.shut_down()
    return 0


if __name__ == "__main__":
    # The engines are started with `spawn` and import this module: the window is made by the child process only.
    sys.exit(main())
