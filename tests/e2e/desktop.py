"""A screen of its own with a window manager, the program on it, and hands: mouse and keys from outside."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("Xvfb", "openbox", "xdotool")
SCREEN = "1366x768x24"
#: The computer may be busy with other things; what takes this long does not come any more.
PATIENCE = 90.0
#: Seconds that a job may take: importing a cold torch alone took 60 s on a slow, busy disk.
JOB = 360


def missing():
    """Return which of the programs are not installed."""
    return [name for name in NEEDED if shutil.which(name) is None]


class LateError(AssertionError):
    """Something did not come in time."""


class Desktop:
    """Xvfb and openbox with a folder of their own, in which everything is that the program writes."""

    def __init__(self):
        # Short, because the name of a socket may have a hundred letters only.
        self.folder = Path(tempfile.mkdtemp(prefix="studio-e2e-"))
        self.home = self.folder / "home"
        self.processes = []
        self.studios = []
        self.number = None
        #: Where the hands pointed, one after the other, in starts that were not blind.
        self.places = []
        for name in ("home", "tmp", "run", "user", "screen"):
            (self.folder / name).mkdir(mode=0o700)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("QT_", "XDG_", "DBUS_"))},
            "CELLSEG1_STUDIO_HOME": str(self.home),
            "HOME": str(self.folder / "user"),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "QT_QPA_PLATFORM": "xcb",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        }
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        read, write = os.pipe()
        try:
            # Xvfb itself looks for a number that is free.
            screen = ["-screen", "0", SCREEN, "-fbdir", str(self.folder / "screen")]
            command = ["Xvfb", "-displayfd", str(write), *screen, "-nolisten", "tcp"]
            self._spawn(command, "xvfb", pass_fds=(write,))
            os.close(write)
            write = -1
            with os.fdopen(read, "rb") as answer:
                read = -1
                self.number = int(answer.readline())
        finally:
            for end in (read, write):
                if end >= 0:
                    os.close(end)
        self.environment["DISPLAY"] = f":{self.number}"
        self._spawn(["openbox", "--sm-disable"], "openbox")
        # It is there when it has told how many desktops there are.
        until(lambda: self.hands("get_num_desktops", check=False).returncode == 0, "the window manager", 20)

    def _spawn(self, command, name, **options):
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
                **options,
            )
        self.processes.append(process)
        return process

    def hands(self, *words, check=True):
        """Let xdotool move the mouse and press keys."""
        command = ["xdotool", *map(str, words)]
        return subprocess.run(command, env=self.environment, check=check, capture_output=True, timeout=60)

    def picture(self):
        """Return what is on the screen, (rows, columns, RGB): Xvfb keeps it in a file (X window dump)."""
        data = (self.folder / "screen" / "Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", data[:100])
        size, height, across, colours = header[0], header[5], header[12], header[19]
        pixels = np.frombuffer(data, np.uint8, height * across, size + 12 * colours)
        return pixels.reshape(height, across // 4, 4)[:, :, 2::-1]

    def start(self, *arguments, blind=False):
        """Start the window, observed; blind: see `Studio`."""
        studio = Studio(self, arguments, len(self.studios), blind=blind)
        self.studios.append(studio)
        return studio

    def move(self):
        """Give the next start a home in which nothing is yet."""
        assert not self.programs()
        self.home = self.folder / f"home{len(self.studios)}"
        self.home.mkdir(mode=0o700)
        self.environment["CELLSEG1_STUDIO_HOME"] = str(self.home)

    def titles(self):
        """Return the titles of the windows on the screen."""
        found = self.hands("search", "--onlyvisible", "--name", ".", check=False).stdout.split()
        names = [self.hands("getwindowname", number.decode(), check=False).stdout.decode() for number in found]
        return {name.strip() for name in names}

    def second_start(self, *arguments):
        """Start the program as it is, while a window is there already."""
        process = self._spawn([sys.executable, "-m", "app", *arguments], "second")
        until(lambda: process.poll() is not None, "the end of the second start")
        return process.returncode

    def programs(self):
        """Return all processes of the program, also those whose parent has gone."""
        mark = self.environment["CELLSEG1_STUDIO_HOME"]
        servers = {process.pid for process in self.processes[:2]}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get("CELLSEG1_STUDIO_HOME") == mark and process.pid not in servers
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def keep(self, folder):
        """Save screen and logs for whoever looks why a test failed."""
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(Exception):
            import cv2

            cv2.imwrite(str(folder / "screen.png"), np.ascontiguousarray(self.picture()[:, :, ::-1]))
        for path in (*self.folder.glob("*.log"), *self.folder.glob("*.json"), *self.home.glob("logs/*")):
            shutil.copy(path, folder)

    def close(self):
        """End everything and leave nothing."""
        try:
            for process in self.programs():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            for process in reversed(self.processes):
                if process.poll() is None:
                    process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)
            until(lambda: not self.programs(), "the end of all processes", 20)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.number is not None:
            for left in (Path(f"/tmp/.X{self.number}-lock"), Path(f"/tmp/.X11-unix/X{self.number}")):
                assert not left.exists(), f"Xvfb left {left}"
        assert not self.folder.exists()


def until(condition, what, seconds=PATIENCE):
    """Wait until a condition holds and return its value."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise LateError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.05)


class Studio:
    """The program in a process of its own, seen through what its observer writes.

    A blind observer looks at no widget: what looks at one changes how long it lives.  The hands then point where they
    did in the earlier starts on this desktop, one after the other.
    """

    def __init__(self, desktop, arguments, number, *, blind=False):
        self.desktop = desktop
        self.blind = blind
        self._places = iter(list(desktop.places))
        self.place = None
        self._file = desktop.folder / f"state{number}.json"
        observed = Path(__file__).with_name("observed.py")
        command = [sys.executable, "-X", "faulthandler", str(observed), str(self._file), *map(str, arguments)]
        desktop.environment["CELLSEG1_E2E_BLIND"] = "1" if blind else ""
        self.process = desktop._spawn(command, f"studio{number}")
        self.log = desktop.folder / f"studio{number}.log"

    # ---- looking

    def now(self):
        """Return the newest state, {} before there is one."""
        try:
            return json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def fresh(self):
        """Return a state that was written after this call."""
        number = self.now().get("number", 0)
        # The one after the next: the next may be half way.
        return self.wait(lambda state: state.get("number", 0) >= number + 2, "a new state", 30)

    def window(self, title, there=True):
        """Wait until a window of the program with this title is on the screen, or gone."""

        def look():
            assert self.process.poll() is None, f"the program ended ({self.process.poll()}):\n{self.words()}"
            return (title in self.desktop.titles()) == there

        until(look, f"the window {title}" if there else f"the end of the window {title}")

    def wait(self, condition, what, seconds=PATIENCE, *, dialogs=False):
        """Wait for a state that fulfils a condition; an error dialog or the end of the program fails at once."""
        end = time.monotonic() + seconds
        while True:
            state = self.now()
            if state:
                bad = [one for one in state["dialogs"] if one["kind"] == "ErrorDialog"]
                assert dialogs or not bad, f"while waiting for {what}: {bad}"
                assert not state.get("wrong"), f"while waiting for {what}: {state['wrong']}"
                try:
                    if condition(state):
                        return state
                except (LookupError, TypeError):
                    pass  # Nothing is open yet.
            ended = self.process.poll()
            assert ended is None, f"the program ended ({ended}) while waiting for {what}:\n{self.words()}"
            if time.monotonic() > end:
                raise LateError(f"{what} did not come within {seconds:.0f} s:\n{brief(state)}\n{self.words()}")
            time.sleep(0.04)

    def words(self):
        """Return the end of what the program said, and where it crashed."""
        said = self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
        crash = self.desktop.home / "logs" / f"crash-{self.process.pid}.txt"
        return said + (crash.read_text(errors="replace")[:3000] if crash.exists() else "")

    # ---- acting

    def key(self, *keys):
        """Press keys one after the other."""
        self.desktop.hands("key", "--delay", "20", *keys)

    def type(self, text):
        """Type a text."""
        self.desktop.hands("type", "--delay", "20", text)

    def at(self, x, y):
        """Return the screen position of an image position."""
        canvas = self.now()["canvas"]
        return round(canvas["origin"][0] + x * canvas["zoom"]), round(canvas["origin"][1] + y * canvas["zoom"])

    def click(self, x, y, button=1):
        """Click on the image."""
        left, top = self.at(x, y)
        self.desktop.hands("mousemove", left, top, "sleep", "0.05", "click", button)

    def stroke(self, *points, steps=8):
        """Press the button on the first image position, move over the others and let go."""
        words = ["mousemove", *self.at(*points[0]), "sleep", "0.05", "mousedown", "1"]
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            for step in range(1, steps + 1):
                share = step / steps
                words += ["mousemove", *self.at(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share), "sleep", "0.01"]
        self.desktop.hands(*words, "mouseup", "1")

    def find(self, name, kind=None, *, enabled=True):
        """Return what has this name (or begins with it, where it ends in an asterisk), scrolled into view."""
        thing = {}

        def there(state):
            found = [
                one
                for one in state["things"]
                if matches(one, name)
                and kind in (None, one["kind"], one.get("own"))
                and (not enabled or one.get("enabled", True))
            ]
            seen = [one for one in found if one["rect"] is not None and min(one["rect"][2:]) >= 6]
            thing.clear()
            thing.update((seen or found or [{}])[0])
            return bool(found)

        self.wait(there, f"{kind or 'something'} called {name}")
        for turn in range(40):
            if thing["rect"] is not None and min(thing["rect"][2:]) >= 6:
                break
            # Down, and when the end is reached without it, up again.
            left, top, _width, height = self.now()["panel"]
            button = 5 if turn < 20 else 4
            self.desktop.hands("mousemove", left + 6, top + height // 2, "click", "--repeat", "2", button)
            self.fresh()
            self.wait(there, name)
        assert thing["rect"] is not None, f"{name} cannot be brought into view"
        return thing

    def point_at(self, name, kind=None):
        """Move the mouse to something and return it, once it has stopped moving: panels fill while one comes."""
        if self.blind:
            self.place = next(self._places)
            self.desktop.hands("mousemove", *self.place, "sleep", "0.3")
            return None
        rect = None
        for _ in range(40):
            thing = self.find(name, kind)
            if thing["rect"] == rect:
                self.desktop.places.append(self.place)
                return thing
            rect = thing["rect"]
            left, top, width, height = rect
            # Check boxes and rows are wide; near their left end there is always something of them.
            self.place = left + min(width // 2, 60), top + height // 2
            self.desktop.hands("mousemove", *self.place)
            self.fresh()
        raise LateError(f"{name} does not stop moving")

    def press(self, name, kind=None):
        """Click something by its name."""
        self.point_at(name, kind)
        self.desktop.hands("click", "1")

    def drop(self, paths, name, kind=None):
        """Drag files from another program's window and let go of them over something."""
        self.point_at(name, kind)
        x, y = self.place
        source = Path(__file__).with_name("drag_source.py")
        command = [sys.executable, str(source), "4", "4", *map(str, paths)]
        process = subprocess.Popen(command, env=self.desktop.environment, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout.readline() == "ready\n"
            words = ["mousemove", 20, 20, "sleep", "0.2", "mousedown", "1", "mousemove", 24, 24, "sleep", "0.3"]
            for share in (0.3, 0.6, 0.9, 1):
                words += ["mousemove", round(24 + (x - 24) * share), round(24 + (y - 24) * share), "sleep", "0.15"]
            self.desktop.hands(*words, "mouseup", "1")
            assert process.wait(30) == 0, "nobody took the files"
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def choose(self, name, option, kind="QComboBox"):
        """Choose an option (or one that begins like it) of a list box with the keyboard."""
        options = self.point_at(name, kind)["options"]
        wanted = next(index for index, text in enumerate(options) if text.startswith(option))
        self.desktop.hands("click", "1")
        self.wait(lambda state: state["popup"] == "QComboBoxPrivateContainer", "the list of options")
        self.key("Home", *(["Down"] * wanted), "Return")
        self.wait(
            lambda state: any(matches(one, name) and one.get("text", "").startswith(option) for one in state["things"]),
            f"the choice {option}",
        )

    def kill(self, how=signal.SIGKILL):
        """End the program from outside at once, as a crash of the computer would (or with another signal)."""
        os.kill(self.process.pid, how)
        self.process.wait(20)


def matches(thing, name):
    """Whether a thing has a name; an asterisk at the end stands for anything."""
    for text in (thing["name"], thing.get("text", "")):
        if text == name or (name.endswith("*") and text.startswith(name[:-1])):
            return True
    return False


def brief(state):
    """Return a state without the long list of things."""
    names = sorted({one["name"] for one in state.get("things", ()) if one["kind"] != "text"})
    texts = [one["name"] for one in state.get("things", ()) if one["kind"] == "text"]
    rest = {key: value for key, value in state.items() if key not in ("things", "planes", "settled")}
    return f"{json.dumps(rest)}\nthings: {names}\ntexts: {texts}"
