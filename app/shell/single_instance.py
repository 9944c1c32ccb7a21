"""One window per user: a second start shows the first one's window and hands over what it was to open.

They meet at a socket in a folder that only this user can enter (on Windows: at a named pipe), and each looks whether
the other belongs to the same user before it says or believes anything.  Where there is no such place, the program
simply runs without this.
"""

from __future__ import annotations

import contextlib
import ctypes
import getpass
import hashlib
import json
import logging
import os
import socket as sockets
import stat
import struct
import sys
import tempfile
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from ..base.places import home_folder

log = logging.getLogger(__name__)
_WAIT_MS = 1000
#: A window that is busy may take a while to answer; one that hangs must not swallow the start.
_ANSWER_MS = 5 * _WAIT_MS
#: Bytes of a message, and texts in it.
_LARGEST, _MOST = 64 << 10, 16
_MOST_TALKING = 16
#: Systems allow 104 bytes or a few more for the path of a socket.
_LONGEST_PATH = 100
_OK = b"ok\n"


def server_name() -> str | None:
    """Return where every start by this user with the same data folder finds the others; None when nowhere is safe."""
    seed = f"{getpass.getuser()}|{home_folder()}"
    name = "cellseg1-" + hashlib.sha256(seed.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    if sys.platform == "win32":
        return name
    for folder in _places():
        path = folder / name
        if len(os.fsencode(path)) <= _LONGEST_PATH and _is_private(folder):
            return str(path)
    log.warning("there is no private folder for the socket; a second start opens a second window")
    return None


def _places() -> list[Path]:
    """Folders for the socket, the best first; the later ones are made when they are not there."""
    places = []
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if Path(runtime).is_absolute():
        places.append(Path(runtime))
    return [*places, home_folder() / "run", Path(tempfile.gettempdir()) / f"cellseg1-studio-{_user()}"]


def _user() -> int:
    return 0 if sys.platform == "win32" else os.getuid()


def _is_private(folder: Path) -> bool:
    """Whether a folder is this user's and nobody else may enter it; it is made when it is missing."""
    with contextlib.suppress(OSError):
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        state = folder.lstat()
        return stat.S_ISDIR(state.st_mode) and state.st_uid == _user() and not state.st_mode & 0o077
    return False


def _is_mine(socket: QLocalSocket, *, server: bool) -> bool:
    """Whether the other end belongs to this user; `server` tells whether the other end is the one that listens."""
    handle = int(socket.socketDescriptor())
    try:
        if sys.platform == "win32":
            return _user_of_pipe(handle, server=server)
        if hasattr(sockets, "SO_PEERCRED"):
            with sockets.socket(fileno=os.dup(handle)) as copy:
                found = copy.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, struct.calcsize("3i"))
            return bool(struct.unpack("3i", found)[1] == _user())
        user, group = ctypes.c_uint32(), ctypes.c_uint32()
        libc = ctypes.CDLL(None)
        return libc.getpeereid(handle, ctypes.byref(user), ctypes.byref(group)) == 0 and user.value == _user()
    except (OSError, AttributeError) as error:
        log.warning("it cannot be told whose the other end is: %s", error)
        return False


def _user_of_pipe(handle: int, *, server: bool) -> bool:
    """Whether the process at the other end of a named pipe runs for this user."""
    import psutil

    kernel = ctypes.CDLL("kernel32")
    ask = kernel.GetNamedPipeServerProcessId if server else kernel.GetNamedPipeClientProcessId
    number = ctypes.c_ulong()
    if not ask(ctypes.c_void_p(handle), ctypes.byref(number)):
        return False
    try:
        return psutil.Process(number.value).username() == psutil.Process().username()
    except psutil.Error:
        # Nobody may ask that about somebody else's process.
        return False


def hand_over(arguments: list[str]) -> bool:
    """Give the arguments to a window that runs already; False when there is none (of this user)."""
    name = server_name()
    if name is None:
        return False
    socket = QLocalSocket()
    socket.connectToServer(name)
    if not socket.waitForConnected(_WAIT_MS):
        return False
    if not _is_mine(socket, server=True):
        log.warning("somebody else listens at %s; nothing was handed over", name)
        socket.abort()
        return False
    socket.write(json.dumps(arguments).encode() + b"\n")
    delivered = socket.waitForBytesWritten(_WAIT_MS) and socket.waitForReadyRead(_ANSWER_MS)
    answer = bytes(socket.readLine(len(_OK) + 1).data()) if delivered else b""
    socket.abort()
    return answer == _OK


def arguments_of(message: bytes) -> list[str]:
    """Read a message; ValueError when it is none."""
    try:
        values = json.loads(message)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, list) or len(values) > _MOST:
        raise ValueError("it is no short list")
    if not all(isinstance(one, str) and "\0" not in one for one in values):
        raise ValueError("it holds something else than texts")
    return values


class InstanceServer(QObject):
    """Listens for later starts."""

    asked = Signal(list)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._talking: list[QLocalSocket] = []
        self._server = QLocalServer(self)
        if sys.platform == "win32":
            # Elsewhere the folder keeps others out, and with this Qt would move its socket over that of another window.
            self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._connected)
        name = server_name()
        if name is None:
            return
        if not self._server.listen(name) and not _answers(name):
            # Left over from a killed window.
            QLocalServer.removeServer(name)
            self._server.listen(name)
        if not self._server.isListening():
            log.warning("cannot listen at %s: %s", name, self._server.errorString())

    def _connected(self) -> None:
        # Several may have come since control was here last.
        while (socket := self._server.nextPendingConnection()) is not None:
            if len(self._talking) >= _MOST_TALKING or not _is_mine(socket, server=False):
                self._refuse(socket, "it comes from somebody else, or from too many at once")
                socket.deleteLater()
                continue
            self._talking.append(socket)
            socket.setReadBufferSize(_LARGEST + 1)
            socket.readyRead.connect(lambda one=socket: self._read(one))
            socket.disconnected.connect(lambda one=socket: self._gone(one))
            # Who says nothing is not waited for.
            QTimer.singleShot(_ANSWER_MS, socket, socket.abort)
            self._read(socket)

    def _gone(self, socket: QLocalSocket) -> None:
        if socket in self._talking:
            self._talking.remove(socket)
            socket.deleteLater()

    def _read(self, socket: QLocalSocket) -> None:
        while socket in self._talking and socket.canReadLine():
            try:
                arguments = arguments_of(bytes(socket.readLine(_LARGEST + 1).data()))
            except ValueError as error:
                self._refuse(socket, str(error))
                return
            socket.write(_OK)
            socket.flush()
            # Not within the socket's signal: a question that is asked then outlives the socket, and Qt goes on with the
            # freed one after it.
            QTimer.singleShot(0, self, lambda arguments=arguments: self.asked.emit(arguments))
        if socket in self._talking and socket.bytesAvailable() > _LARGEST:
            self._refuse(socket, "it is too long")

    def _refuse(self, socket: QLocalSocket, why: str) -> None:
        log.warning("a message from another start was ignored: %s", why)
        socket.abort()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()
        for socket in list(self._talking):
            socket.abort()


def _answers(name: str) -> bool:
    """Whether a window of this user listens at a name."""
    socket = QLocalSocket()
    socket.connectToServer(name)
    mine = socket.waitForConnected(_WAIT_MS) and _is_mine(socket, server=True)
    socket.abort()
    return bool(mine)
