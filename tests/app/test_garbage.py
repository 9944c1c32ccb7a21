"""Where garbage ends: in the window's thread, whoever makes it."""

import ast
import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from app.session.lanes import Lane
from app.shell.garbage import Collector
from app.widgets import showing
from app.widgets.dialog import Dialog
from app.widgets.showing import ask


@pytest.fixture
def collector(qapp):
    before = gc.isenabled()
    gc.enable()
    collector = Collector()
    yield collector
    collector.end()
    assert gc.isenabled()
    if not before:
        gc.disable()


def circle(ends):
    """Make a widget that only a cycle holds, and note in which thread it ends."""
    widget = QWidget()
    widget.itself = [widget]
    weakref.finalize(widget, lambda: ends.append(threading.current_thread()))


def make_garbage():
    for _ in range(50_000):
        one = []
        one.append(one)


def test_widgets_in_cycles_end_in_the_windows_thread(collector, qtbot):
    ends = []
    for _ in range(5):
        circle(ends)
    thread = threading.Thread(target=make_garbage)
    thread.start()
    thread.join()
    assert ends == []
    collector.thresholds = (700, 0, 0)
    qtbot.waitUntil(lambda: len(ends) == 5)
    assert set(ends) == {threading.main_thread()}


def test_garbage_of_threads_does_not_pile_up(collector, qtbot):
    gone = []

    class Piece:
        pass

    def work():
        for _ in range(3000):
            piece = Piece()
            piece.itself = piece
            weakref.finalize(piece, gone.append, 1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    # Nothing but the event loop is needed.
    qtbot.waitUntil(lambda: len(gone) == 3000)


def test_settled_things_are_not_looked_at_again(collector):
    kept = [[] for _ in range(1000)]
    collector.settle()
    assert gc.get_freeze_count() > len(kept)
    collector.end()
    assert gc.get_freeze_count() == 0


class _Answers(QObject):
    def __init__(self):
        super().__init__()
        self.got = []

    def take(self, answer):
        self.got.append(answer)


@pytest.mark.parametrize("fails", [False, True])
def test_what_an_errand_holds_is_let_go_in_the_windows_thread(qtbot, fails):
    lane = Lane(2, "lane")
    ends, got = [], []

    def send():
        # Held by nothing but the functions, and by the frames of an error.
        widget = QWidget()
        weakref.finalize(widget, lambda: ends.append(threading.current_thread()))

        def work():
            assert widget is not None
            if fails:
                raise ValueError("no")
            return widget

        lane.run(work, lambda _answer: got.append(widget is not None), failed=lambda: got.append(widget is None))

    for _ in range(200):
        send()
    qtbot.waitUntil(lambda: len(got) == 200)
    lane.close()
    gc.collect()
    qtbot.waitUntil(lambda: len(ends) == 200)
    assert set(ends) == {threading.main_thread()}
    assert set(got) == {not fails}


def test_an_answer_for_what_is_gone_is_dropped(qtbot):
    lane = Lane(1, "lane")
    there, gone = _Answers(), _Answers()
    let = threading.Event()
    lane.run(let.wait, gone.take, failed=pytest.fail)
    lane.run(lambda: 2, there.take, failed=pytest.fail)
    gone.deleteLater()
    gone.destroyed.connect(let.set)
    qtbot.waitUntil(lambda: there.got == [2])
    assert gone.got == []
    lane.close()


def test_nothing_is_delivered_after_the_end(qtbot, qapp):
    lane = Lane(1, "lane")
    got = []
    lane.run(lambda: 1, got.append, failed=pytest.fail)
    lane.close()
    qapp.processEvents()
    assert got == []


def test_a_dialog_that_was_answered_does_not_take_the_screen_with_it():
    # In a process of its own: it died of the next widget.
    code = """if True:
        import gc, os
        from pathlib import Path
        from PySide6.QtCore import QTimer
        from PySide6.QtGui import QGuiApplication
        from PySide6.QtWidgets import QApplication, QDialog, QMessageBox, QWidget
        from app.widgets.dialog import Dialog
        from app.pages.project.new_project import NewProjectDialog
        from app.widgets.showing import ask
        app = QApplication([])
        window = QWidget()
        window.show()
        for make in (
            lambda: NewProjectDialog(Path("."), [], window),
            lambda: Dialog(window, "One"),
            lambda: Dialog(None, "Two"),
            lambda: QMessageBox(window),
        ):
            for circle in (False, True):
                dialog = make()
                QTimer.singleShot(0, dialog.reject)
                dialog.sizeHint()
                if circle:
                    dialog.itself = dialog
                ask(dialog)
                del dialog
                gc.collect()
                app.processEvents()
        for _ in range(20):
            QDialog().sizeHint()
        QGuiApplication.primaryScreen().size()
        print("alive", flush=True)
        os._exit(0)
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "alive", found.stderr


def test_dialogs_that_were_answered_are_freed(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    ends = []
    for _ in range(5):
        dialog = Dialog(window, "One")
        dialog.destroyed.connect(lambda: ends.append(threading.current_thread()))
        QTimer.singleShot(0, dialog.accept)
        assert ask(dialog)
        del dialog
    qtbot.waitUntil(lambda: len(ends) == 5)
    assert not showing._leaving
    assert window.findChildren(Dialog) == []


def test_no_widget_is_asked_for_its_screen_and_every_dialog_is_shown_in_one_place():
    wrong = []
    for path in (Path(__file__).parents[2] / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)) or node.args:
                continue
            name, owner = node.func.attr, ast.unparse(node.func.value)
            shown = name in {"exec", "open"} and ("dialog" in owner or "box" in owner)
            if path.name != "showing.py" and (name == "screen" or shown):
                wrong.append(f"{path.name}:{node.lineno} {owner}.{name}()")
    assert wrong == []
