import dataclasses
import hashlib
import http.server
import json
import os
import threading
import time
import types

import pytest

from cellseg1.errors import BackboneError, DownloadError, OutputError, SettingsError, StoppedError
from cellseg1.sam import fetch, registry, store

CONTENT = b"PK\x03\x04" + bytes(range(256)) * 1200


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A data folder of its own, and a vit_b that is 300 kB of known bytes, treated as a large file."""
    monkeypatch.setenv(registry.DATA_DIR_VARIABLE, str(tmp_path / "data"))
    kind = registry.get_kind("vit_b")
    spec = dataclasses.replace(kind.file, size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(registry.BACKBONES.known, "vit_b", dataclasses.replace(kind, file=spec))
    monkeypatch.setattr(store, "ALWAYS_HASHED_BELOW", 1000)
    return spec


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A bundled tiny backbone in a resources folder of its own."""
    folder = tmp_path / "bundle" / "resources" / "backbones"
    folder.mkdir(parents=True)
    (folder / "tiny.safetensors").write_bytes(CONTENT)
    card = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "size_bytes": len(CONTENT), "architecture": {}}
    (folder / "tiny.json").write_text(json.dumps(card))
    monkeypatch.setattr("sys._MEIPASS", str(tmp_path / "bundle"), raising=False)
    return folder


def flip(path, at=1000):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_figures_and_names(monkeypatch, tmp_path):
    assert registry.get_spec("default").name == "vit_h"
    assert registry.get_spec("vit_h").size_bytes == 2_564_550_879
    assert registry.get_spec("vit_b").url.endswith("/segment_anything/sam_vit_b_01ec64.pth")
    monkeypatch.setenv(registry.DATA_DIR_VARIABLE, str(tmp_path))
    assert registry.models_dir() == tmp_path / "backbones"
    monkeypatch.delenv(registry.DATA_DIR_VARIABLE)
    assert registry.models_dir().name == "backbones"
    assert "CellSeg1" in str(registry.models_dir())


def test_import_and_find(fake, tmp_path):
    with pytest.raises(
        BackboneError, match=r"vit_b is not on this computer; download it .* or import the file sam_vit_b"
    ):
        store.find_backbone("vit_b")
    source = tmp_path / "renamed by the user.bin"
    source.write_bytes(CONTENT)
    seen = []
    assert store.import_file(source, progress=lambda done, total: seen.append((done, total))) == "vit_b"
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    found = store.find_backbone("vit_b")
    assert found == registry.models_dir() / fake.filename
    assert found.read_bytes() == CONTENT
    assert store.import_file(found, "vit_b") == "vit_b"
    assert store.import_file(source, "vit_b") == "vit_b"
    status = {one.name: one for one in store.list_backbones()}
    assert status["vit_b"].installed
    assert status["vit_b"].usable
    assert not status["vit_h"].installed
    assert "not on this computer" in status["vit_h"].problem


def test_wrong_files_are_described(fake, tmp_path):
    def refused(name, data, expect, wanted=None):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(BackboneError, match=expect):
            store.import_file(path, wanted)

    refused("empty.pth", b"", "is empty")
    refused("page.pth", b"\n<!DOCTYPE html>" + b"x" * 100, "web page")
    refused("model.cs1", (100).to_bytes(8, "little") + b'{"a":1}', "safetensors file")
    refused("text.txt", b"hello", "not a PyTorch file")
    refused("sam_vit_b.pth", CONTENT[:100_000], r"has 100,000 of 307,204 bytes.*cut short")
    refused("lora.pth", b"PK\x03\x04123", r"is a PyTorch file|small PyTorch file")
    damaged = bytearray(CONTENT)
    damaged[5000] ^= 4
    refused("damaged.pth", bytes(damaged), "has the size of the backbone vit_b but not its content")
    refused("other.pth", CONTENT, "looks like the backbone vit_b, not vit_h", "vit_h")
    with pytest.raises(BackboneError, match="no file"):
        store.import_file(tmp_path / "absent.pth")
    assert not list(registry.models_dir().glob("*"))


def test_stopped_import_leaves_nothing(fake, tmp_path):
    source = tmp_path / "vit_b.pth"
    source.write_bytes(CONTENT)

    def stop(done, total):
        raise StoppedError("stop")

    with pytest.raises(StoppedError):
        store.import_file(source, progress=stop)
    assert not list(registry.models_dir().glob("*"))


def test_flipped_byte_is_refused(fake, tmp_path):
    source = tmp_path / "vit_b.pth"
    source.write_bytes(CONTENT)
    store.import_file(source)
    found = store.find_backbone("vit_b")
    flip(found)
    os.utime(found, ns=(time.time_ns() + 10**9, time.time_ns() + 10**9))
    with pytest.raises(BackboneError, match="is damaged: its size is right for vit_b but its content is not"):
        store.find_backbone("vit_b")
    from cellseg1.sam.build import build_backbone

    with pytest.raises(BackboneError, match="damaged"):
        build_backbone("vit_b")
    assert not next(one for one in store.list_backbones(verify=True) if one.name == "vit_b").usable
    assert store.find_backbone("vit_b", verify=False) == found
    found.write_bytes(CONTENT[:-1])
    with pytest.raises(BackboneError, match="cut short"):
        store.find_backbone("vit_b")
    assert not next(one for one in store.list_backbones() if one.name == "vit_b").usable


def test_large_files_are_hashed_once_and_again_after_a_month(fake, tmp_path, monkeypatch):
    source = tmp_path / "vit_b.pth"
    source.write_bytes(CONTENT)
    store.import_file(source)
    hashed = []
    real = store.hash_file
    monkeypatch.setattr(store, "hash_file", lambda path, *rest: hashed.append(path) or real(path, *rest))
    store.find_backbone("vit_b")
    assert not hashed
    memory = registry.models_dir() / "verified.json"
    content = json.loads(memory.read_text())
    for entry in content["files"].values():
        entry["checked"] -= 31 * 24 * 3600
    memory.write_text(json.dumps(content))
    store.find_backbone("vit_b")
    assert len(hashed) == 1
    for damaged in ("{", "[]", '{"files": 3}', '{"files": {"x": 1}}'):
        memory.write_text(damaged)
        store.find_backbone("vit_b")
    assert len(hashed) == 5
    store.find_backbone("vit_b")
    assert len(hashed) == 5


def test_tiny(tiny, monkeypatch, fake):
    assert registry.get_spec("tiny").bundled
    assert store.find_backbone("tiny") == tiny / "tiny.safetensors"
    before = (tiny / "tiny.safetensors").stat()
    flip(tiny / "tiny.safetensors")
    # Small files are hashed at each load, so that even an unchanged time does not hide a flipped byte.
    monkeypatch.setattr(store, "ALWAYS_HASHED_BELOW", 50_000_000)
    os.utime(tiny / "tiny.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(BackboneError, match=r"damaged: .*; install CellSeg1 Studio again"):
        store.find_backbone("tiny")
    status = store.list_backbones()[0]
    assert status.installed
    assert not status.usable
    with pytest.raises(DownloadError, match="shipped with the program"):
        fetch.download("tiny")
    (tiny / "tiny.json").write_text("{}")
    with pytest.raises(BackboneError, match="description of the bundled backbone tiny is damaged"):
        registry.get_spec("tiny")


def test_tiny_missing(monkeypatch, fake, tmp_path):
    def absent(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr("cellseg1.sam.backbones.tiny.resource_path", absent)
    with pytest.raises(BackboneError, match="tiny is missing from this installation"):
        store.find_backbone("tiny")
    assert not store.list_backbones()[0].usable


def test_beside_the_installer(fake, monkeypatch, tmp_path):
    (tmp_path / "usb" / "backbones").mkdir(parents=True)
    monkeypatch.setenv("APPIMAGE", str(tmp_path / "usb" / "CellSeg1.AppImage"))
    path = tmp_path / "usb" / "backbones" / fake.filename
    path.write_bytes(CONTENT)
    assert store.find_backbone("vit_b") == path
    with pytest.raises(BackboneError, match="no backbone file"):
        store.find_backbone("vit_b", tmp_path / "absent.pth")
    assert store.find_backbone("vit_b", path) == path


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT (or the server's own); can break off, ignore ranges, or answer with an error."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.seen.append(self.headers.get("Range"))
        if server.status:
            self.send_error(server.status)
            return
        data, start = server.data, 0
        given = self.headers.get("Range")
        if given and server.ranges:
            start = int(given.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        body = data[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.breaks:
            body = body[: server.breaks.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetch, "_PAUSE", 0.01)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.data, server.ranges, server.status, server.breaks, server.seen = CONTENT, True, 0, [], []
        server.url = f"http://127.0.0.1:{server.server_port}/vit_b.pth"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def part_file(spec):
    return registry.models_dir() / f"{spec.filename}.part"


def test_download(fake, server):
    seen = []
    path = fetch.download("vit_b", lambda done, total: seen.append((done, total)), url=server.url)
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert not part_file(fake).exists()
    assert store.find_backbone("vit_b") == path


def test_download_resumes_after_a_break_and_after_a_stop(fake, server):
    server.breaks = [50_000, 60_000]
    path = fetch.download("vit_b", url=server.url)
    assert path.read_bytes() == CONTENT
    assert server.seen == [None, "bytes=50000-", "bytes=110000-"]
    path.unlink()

    def stop(done, total):
        raise StoppedError("stop")

    with pytest.raises(StoppedError):
        fetch.download("vit_b", stop, url=server.url)
    kept = part_file(fake).stat().st_size
    assert 0 < kept < len(CONTENT)
    fetch.download("vit_b", url=server.url)
    assert server.seen[-1] == f"bytes={kept}-"
    assert path.read_bytes() == CONTENT


def test_download_where_ranges_are_ignored(fake, server):
    part_file(fake).parent.mkdir(parents=True)
    part_file(fake).write_bytes(b"x" * 1000)
    server.ranges = False
    assert fetch.download("vit_b", url=server.url).read_bytes() == CONTENT


def test_download_of_a_complete_or_overlong_part(fake, server):
    part_file(fake).parent.mkdir(parents=True)
    part_file(fake).write_bytes(CONTENT)
    assert fetch.download("vit_b", url=server.url).read_bytes() == CONTENT
    assert server.seen == []
    part_file(fake).write_bytes(CONTENT + b"x")
    assert fetch.download("vit_b", url=server.url).read_bytes() == CONTENT


def test_wrong_downloads_are_refused(fake, server):
    server.data = bytes(len(CONTENT))
    with pytest.raises(DownloadError, match="is not the backbone vit_b"):
        fetch.download("vit_b", url=server.url)
    server.data = b"<html>log in</html>"
    with pytest.raises(DownloadError, match="offers 19 bytes"):
        fetch.download("vit_b", url=server.url)
    server.status = 404
    with pytest.raises(DownloadError, match="answered 404"):
        fetch.download("vit_b", url=server.url)
    server.status = 503
    with pytest.raises(DownloadError, match="answered 503"):
        fetch.download("vit_b", url=server.url)
    assert not list(registry.models_dir().glob("*.pth*"))
    with pytest.raises(DownloadError, match="must start with"):
        fetch.download("vit_b", url="file:///etc/passwd")


def test_offline(fake, server):
    server.breaks = [1000, 0, 0, 0, 0]
    expect = r"Cannot download vit_b .*check the internet connection, or fetch sam_vit_b_01ec64.pth on another computer"
    with pytest.raises(DownloadError, match=expect):
        fetch.download("vit_b", url=server.url)
    assert part_file(fake).stat().st_size == 1000
    with pytest.raises(DownloadError, match=expect):
        fetch.download("vit_b", url="http://127.0.0.1:9/x")


def test_full_disk_and_blocked_folder(fake, server, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(store.shutil, "disk_usage", lambda _folder: types.SimpleNamespace(free=10))
        with pytest.raises(OutputError, match="free some space"):
            fetch.download("vit_b", url=server.url)
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv(registry.DATA_DIR_VARIABLE, str(tmp_path / "file"))
    with pytest.raises((OutputError, SettingsError)):
        fetch.download("vit_b", url=server.url)
