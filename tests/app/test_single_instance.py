"""The place where two starts meet: whose it is, what is believed, and that nobody keeps the window from opening."""

import json
import logging
import os
import socket
import stat
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import pytest

from app.shell import single_instance
from app.shell.single_instance import InstanceServer, arguments_of, hand_over, server_name

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="speaks to the socket by itself")

#: A second start; prints whether it handed over.
START = (
    "import sys; from PySide6.QtCore import QCoreApplication; app = QCoreApplication([]);"
    "from app.shell.single_instance import hand_over; sys.exit(0 if hand_over(sys.argv[1:]) else 3)"
)


@pytest.fixture
def short():
    """A folder whose name is short enough for a socket, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="cs1") as folder:
        yield Path(folder)


@pytest.fixture
def runtime(short, monkeypatch):
    folder = short / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(short / "home"))
    monkeypatch.setattr(single_instance.tempfile, "gettempdir", lambda: str(short / "tmp"))
    return folder


@pytest.fixture
def server(runtime, qapp):
    listening = InstanceServer()
    listening.got = []
    listening.asked.connect(listening.got.append)
    yield listening
    listening.close()


def say(data):
    """Connect as some other program would, and say something."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(server_name())
    client.sendall(data)
    return client


def ends(client, qtbot):
    """Wait until the other side hung up; returns what it said."""
    client.setblocking(False)
    said = b""

    def over():
        nonlocal said
        try:
            while part := client.recv(100):
                said += part
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        return True

    qtbot.waitUntil(over)
    client.close()
    return said


def test_it_is_in_a_folder_of_this_user_alone(runtime):
    place = Path(server_name())
    assert place.parent == runtime
    runtime.chmod(0o755)
    place = Path(server_name())
    assert runtime not in place.parents
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert len(os.fsencode(place)) <= 100


def test_a_folder_that_somebody_else_made_first_is_not_used(runtime, monkeypatch, short, qapp):
    runtime.chmod(0o755)
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(short / ("x" * 90)))
    (short / "tmp").mkdir()
    (short / "tmp" / f"cellseg1-studio-{os.getuid()}").symlink_to(runtime)
    assert server_name() is None
    # And the window opens all the same.
    assert not hand_over(["/a/path"])
    server = InstanceServer()
    assert not server._server.isListening()
    server.close()


def test_a_listener_of_somebody_else_gets_nothing_and_does_not_keep_the_window_from_opening(
    runtime, monkeypatch, qtbot
):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(server_name())
    listener.listen()
    monkeypatch.setattr(single_instance, "_is_mine", lambda _socket, *, server: False)
    assert not hand_over(["/a/secret/name"])
    client, _ = listener.accept()
    client.settimeout(5)
    assert client.recv(100) == b""
    client.close()
    server = InstanceServer()
    assert server._server.isListening()
    server.close()
    listener.close()


def test_a_message_of_somebody_else_is_ignored(server, monkeypatch, qtbot):
    monkeypatch.setattr(single_instance, "_user", lambda: os.getuid() + 1)
    monkeypatch.setattr(single_instance, "server_name", lambda: server._server.fullServerName())
    client = socket.socket(socket.AF_UNIX)
    client.connect(server._server.fullServerName())
    client.sendall(b'["/x"]\n')
    assert ends(client, qtbot) == b""
    assert server.got == []


@pytest.mark.parametrize(
    "message",
    [
        b"not json\n",
        b"\xff\xfe\n",
        b'{"path": "x"}\n',
        b"[" * 60_000 + b"\n",
        b"[1, 2]\n",
        b'["a\\u0000b"]\n',
        json.dumps(["x"] * 17).encode() + b"\n",
        b"x" * 70_000,
        b'"' + b"x" * 200_000 + b'"\n',
    ],
    ids=["words", "bytes", "object", "deep", "numbers", "nul", "many", "long", "long line"],
)
def test_what_is_no_message_is_ignored_and_said_in_the_log(server, qtbot, caplog, message):
    with caplog.at_level(logging.WARNING):
        client = socket.socket(socket.AF_UNIX)
        client.connect(server_name())
        client.setblocking(False)
        left = memoryview(message)

        def sent():
            nonlocal left
            try:
                left = left[client.send(left) :]
            except BlockingIOError:
                return False
            except (BrokenPipeError, ConnectionResetError):
                return True
            return not left

        qtbot.waitUntil(sent)
        assert ends(client, qtbot) == b""
    assert server.got == []
    assert "was ignored" in caplog.text
    # It goes on listening.
    client = say(b'["/x"]\n')
    qtbot.waitUntil(lambda: server.got == [["/x"]])
    client.close()


def test_two_at_once_and_two_in_one_are_all_heard(server, qtbot):
    clients = [say(b'["/one"]\n'), say(b'["/two"]\n["/three"]\n')]
    qtbot.waitUntil(lambda: len(server.got) == 3)
    assert sorted(server.got) == [["/one"], ["/three"], ["/two"]]
    for client in clients:
        client.close()
    qtbot.waitUntil(lambda: not server._talking)


def test_a_message_in_pieces_is_heard_when_it_is_whole(server, qtbot):
    client = say(b'["/o')
    qtbot.wait(50)
    assert server.got == []
    client.sendall(b'ne"]\n')
    qtbot.waitUntil(lambda: server.got == [["/one"]])
    client.close()


def test_a_second_window_does_not_take_the_place_of_the_first(server, qtbot):
    second = InstanceServer()
    assert not second._server.isListening()
    starting = subprocess.Popen([sys.executable, "-c", START, "--sample", "p/ä"])
    qtbot.waitUntil(lambda: starting.poll() is not None, timeout=20000)
    assert starting.returncode == 0
    assert server.got == [["--sample", "p/ä"]]
    second.close()


def test_the_place_of_a_killed_window_is_taken(runtime, qapp):
    left = socket.socket(socket.AF_UNIX)
    left.bind(server_name())
    left.close()
    server = InstanceServer()
    assert server._server.isListening()
    server.close()


def test_messages():
    assert arguments_of(b'["--sample", "/a b"]\n') == ["--sample", "/a b"]
    assert arguments_of(b"[]\n") == []


def test_a_question_that_a_message_raises_may_outlive_the_one_who_sent_it(server, qtbot):
    inside = []

    def question(_arguments):
        # Within the signal of the socket, what follows would crash: it ends meanwhile.
        inside.append("_read" in [frame.name for frame in traceback.extract_stack()])
        if not inside[-1]:
            client.close()
            qtbot.waitUntil(lambda: not server._talking)

    server.asked.connect(question)
    client = say(json.dumps(["a"]).encode() + b"\n" + json.dumps(["b"]).encode() + b"\n")
    qtbot.waitUntil(lambda: server.got == [["a"], ["b"]])
    assert inside == [False, False]
    client.close()
