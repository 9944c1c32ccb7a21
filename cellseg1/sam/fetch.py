"""Downloading backbones: resumed where it was cut, and verified before use.  Imports no torch."""

from __future__ import annotations

import contextlib
import http.client
import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from cellseg1.errors import DownloadError, OutputError
from cellseg1.files import describe_os_error
from cellseg1.sam import store
from cellseg1.sam.kind import BackboneSpec
from cellseg1.sam.registry import get_spec, models_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK = 1 << 18
_TIMEOUT = 30.0
_TRIES = 4
#: Seconds before each new try; doubled every time.
_PAUSE = 1.0


class _LostConnectionError(Exception):
    """The transfer broke off; what has arrived is kept."""


def download(name: str, progress: Callable[[int, int], None] | None = None, url: str | None = None) -> Path:
    """Download a backbone into the data folder.

    What has arrived is kept beside the final name as ``.part``; the next call goes on from there.

    Parameters
    ----------
    name
        vit_b, vit_l or vit_h.
    progress
        Called with bytes done and bytes in all.  An exception from it stops the download and is passed on.
    url
        A mirror to use in place of the official address.

    Returns
    -------
    Path
        The verified file.

    Raises
    ------
    DownloadError
        When there is no connection, or the server's file is not the expected one.
    OutputError
        When the file cannot be written.
    """
    spec = get_spec(name)
    address = url or spec.url
    if address is None:
        raise DownloadError(f"The backbone {spec.name} is shipped with the program; there is nothing to download.")
    if not address.lower().startswith(("https://", "http://")):
        raise DownloadError(f"The address {address} cannot be used; it must start with https:// or http://.")
    target = models_dir() / spec.filename
    part = target.with_name(target.name + ".part")
    done = _size(part)
    if done > spec.size_bytes:
        part.unlink()
        done = 0
    store.check_space(spec.size_bytes - done)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _fetch_with_retries(spec, address, part, progress)
        if store.hash_file(part) != spec.sha256:
            part.unlink()
            raise DownloadError(
                f"The file that {address} sent is not the backbone {spec.name} (its SHA-256 differs); "
                "it was deleted. Try again, or import the file from another source."
            )
        os.replace(part, target)
    except OSError as error:
        if isinstance(error, DownloadError | OutputError):
            raise
        raise OutputError(
            f"Cannot write {target}: {describe_os_error(error)}. Free some space and try again."
        ) from error
    store.remember(target, spec.sha256)
    return target


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _fetch_with_retries(
    spec: BackboneSpec, address: str, part: Path, progress: Callable[[int, int], None] | None
) -> None:
    failures, pause = 0, _PAUSE
    while (before := _size(part)) < spec.size_bytes:
        try:
            _fetch(spec, address, part, progress)
        except _LostConnectionError as error:
            arrived = _size(part)
            # A long download over a poor line may break often, as long as it gets on.
            failures = 1 if arrived > before else failures + 1
            if failures >= _TRIES:
                raise _offline(spec, address, arrived, error) from error
            time.sleep(pause if failures > 1 else 0)
            pause = pause * 2 if failures > 1 else _PAUSE


def _offline(spec: BackboneSpec, address: str, arrived: int, cause: Exception) -> DownloadError:
    kept = f" {arrived / 1e6:,.0f} MB have arrived and are kept." if arrived else ""
    return DownloadError(
        f"Cannot download {spec.name} from {address} ({cause}); check the internet connection, or fetch "
        f"{spec.filename} on another computer and import that file here.{kept}"
    )


def _fetch(spec: BackboneSpec, address: str, part: Path, progress: Callable[[int, int], None] | None) -> None:
    """Ask for what is missing and append it to `part`."""
    start = _size(part)
    request = urllib.request.Request(address, headers={"User-Agent": "CellSeg1-Studio", "Accept-Encoding": "identity"})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
    with contextlib.ExitStack() as stack:
        try:
            answer = stack.enter_context(urllib.request.urlopen(request, timeout=_TIMEOUT))  # noqa: S310
        except urllib.error.HTTPError as error:
            code = error.code
            error.close()
            if code >= http.client.INTERNAL_SERVER_ERROR:
                raise _LostConnectionError(f"the server answered {code}") from error
            raise DownloadError(
                f"The server refused {spec.name} ({address} answered {code}); the file may have moved. "
                f"Fetch {spec.filename} another way and import that file."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _LostConnectionError(str(getattr(error, "reason", error)) or "no connection") from error
        resumed = answer.status == http.client.PARTIAL_CONTENT and _range_start(answer) == start
        if answer.status == http.client.PARTIAL_CONTENT and not resumed:
            raise _LostConnectionError("the server answered with another part of the file")
        begin = start if resumed else 0
        length = answer.headers.get("Content-Length")
        if length is not None and begin + int(length) != spec.size_bytes:
            # A hotel's log-in page, for instance.
            raise DownloadError(
                f"{address} offers {begin + int(length):,} bytes where {spec.name} has {spec.size_bytes:,}; "
                "this is not the backbone. Check the internet connection (a log-in page?) and try again."
            )
        out = stack.enter_context(part.open("ab" if resumed else "wb"))
        done = begin
        while done < spec.size_bytes:
            try:
                chunk = answer.read(min(_CHUNK, spec.size_bytes - done))
            except (OSError, http.client.HTTPException) as error:
                raise _LostConnectionError(str(error) or "the connection was lost") from error
            if not chunk:
                raise _LostConnectionError("the connection was lost")
            out.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, spec.size_bytes)
        out.flush()
        os.fsync(out.fileno())


def _range_start(answer: http.client.HTTPResponse) -> int:
    """Return where the sent part begins, from ``Content-Range: bytes START-END/SIZE``; -1 when unreadable."""
    value = answer.headers.get("Content-Range", "").removeprefix("bytes").strip().partition("-")[0]
    return int(value) if value.isdecimal() else -1
