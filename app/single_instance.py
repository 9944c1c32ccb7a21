"""One window per user: a second start shows the first one's window and hands over what it was to open."""

from __future__ import annotations

import getpass
import hashlib
import json

from PySide6.QtCore import QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from app.project.places import home_folder

_WAIT_MS = 1000


def server_name() -> str:
    """Return a name that is the same for every start by this user with the same data folder."""
    seed = f"{getpass.getuser()}|{home_folder()}"
    return "cellseg1-studio-" + hashlib.sha256(seed.encode()).hexdigest()[:16]


def hand_over(arguments: list[str]) -> bool:
    """Give the arguments to a window that runs already; False when there is none."""
    socket = QLocalSocket()
    socket.connectToServer(server_name())
    if not socket.waitForConnected(_WAIT_MS):
        return False
    socket.write(json.dumps(arguments).encode() + b"\n")
    delivered = socket.waitForBytesWritten(_WAIT_MS)
    # The other side says that it is alive; a hung window must not swallow the start.
    delivered = delivered and socket.waitForReadyRead(_WAIT_MS * 5)
    socket.disconnectFromServer()
    return bool(delivered)


class InstanceServer(QObject):
    """Listens for later starts."""

    asked = Signal(list)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._connected)
        name = server_name()
        if not self._server.listen(name):
            # Left over from a killed window: nobody answered, or `hand_over` would have succeeded.
            QLocalServer.removeServer(name)
            self._server.listen(name)

    def _connected(self) -> None:
        socket = self._server.nextPendingConnection()
        socket.readyRead.connect(lambda: self._read(socket))
        socket.disconnected.connect(socket.deleteLater)

    def _read(self, socket: QLocalSocket) -> None:
        if not socket.canReadLine():
            return
        try:
            arguments = json.loads(bytes(socket.readLine().data()))
        except ValueError:
            arguments = []
        socket.write(b"ok\n")
        socket.flush()
        self.asked.emit([str(one) for one in arguments] if isinstance(arguments, list) else [])

    def close(self) -> None:
        """Stop listening."""
        self._server.close()
