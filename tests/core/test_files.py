"""Files are written whole or not at all, and nobody else's are touched."""

import errno
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from cellseg1 import files
from cellseg1.errors import OutputError
from cellseg1.files import atomic_write, check_room, claim_folder, write_bytes, write_free
from cellseg1.tables import csv_bytes, safe_cell
from cellseg1.text import json_text, safe_text, terminal_text
from cellseg1.training.checkpoint import write_checkpoint

posix = pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_a_replaced_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "secret.json"
    path.write_bytes(b"old")
    path.chmod(mode)
    seen = []
    with atomic_write(path) as stream:
        stream.write(b"new")
        stream.flush()
        seen = [stat.S_IMODE(part.stat().st_mode) for part in tmp_path.glob("*.part")]
    assert seen == [mode]  # nor can anybody read it while it is written
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_follows_the_umask_which_is_never_changed(tmp_path, monkeypatch, umask):
    before = os.umask(umask)
    try:
        real, calls = os.umask, []
        monkeypatch.setattr(os, "umask", lambda value: calls.append(value) or real(value))
        write_bytes(tmp_path / "a", b"")
        monkeypatch.undo()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask
    assert calls == []


def test_a_source_that_cannot_be_read_is_no_full_disk(tmp_path):
    path = tmp_path / "copy"
    path.write_bytes(b"old")

    def fill(stream):
        stream.write(b"half")
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error") as caught:
        files.write_with(path, fill)
    assert not isinstance(caught.value, OutputError)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["copy"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")  # noqa: PTH110
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_full_disk_is_said_whoever_writes(tmp_path, monkeypatch, size):
    import numpy as np
    import torch
    from PIL import Image

    monkeypatch.setattr(files, "_open_part", lambda path: (os.open("/dev/full", os.O_WRONLY), path / "none"))
    side = int(size**0.5)
    noise = np.random.default_rng(0).integers(0, 255, (side, side), np.uint8)
    writers = [
        lambda stream: stream.write(bytes(size)),
        lambda stream: Image.fromarray(noise).save(stream, format="PNG"),
        lambda stream: np.save(stream, noise),
        lambda stream: torch.save({"a": torch.from_numpy(noise)}, stream),
    ]
    for writer in writers:
        with pytest.raises(OutputError, match="disk is full") as caught, atomic_write(tmp_path / "x") as stream:
            writer(stream)
        assert str(tmp_path / "x") in str(caught.value)


def test_the_folder_is_flushed_after_the_move(tmp_path, monkeypatch):
    order, real_sync, real_move = [], os.fsync, os.replace

    def sync(handle):
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_sync(handle)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", lambda a, b: order.append("move") or real_move(a, b))
    write_bytes(tmp_path / "a", b"1")
    assert order == ["file", "move", *(["folder"] if os.name != "nt" else [])]


def test_a_folder_is_claimed_by_one_of_many(tmp_path):
    (tmp_path / "empty").mkdir()
    for wanted in (tmp_path / "new", tmp_path / "empty"):
        start = threading.Barrier(8)

        def claim(wanted=wanted, start=start):
            start.wait()
            return claim_folder(wanted, "run.json")

        with ThreadPoolExecutor(8) as pool:
            folders = [one.result() for one in [pool.submit(claim) for _ in range(8)]]
        assert len(set(folders)) == 8
        assert wanted in folders
        assert all([one.name for one in folder.iterdir()] == ["run.json"] for folder in folders)


def test_a_free_name_is_taken_by_one_of_many(tmp_path):
    start = threading.Barrier(8)

    def write(number):
        start.wait()
        return write_free(tmp_path / "m.cs1", lambda path: write_bytes(path, bytes([number]), new=True))

    with ThreadPoolExecutor(8) as pool:
        paths = [one.result() for one in [pool.submit(write, number) for number in range(8)]]
    assert len(set(paths)) == 8
    assert [path.read_bytes()[0] for path in paths] == list(range(8))
    assert len(list(tmp_path.iterdir())) == 8


@posix
def test_a_folder_that_cannot_be_is_refused(tmp_path, monkeypatch):
    (tmp_path / "drive").symlink_to("not mounted")
    with pytest.raises(OutputError, match=r"Cannot write in the folder .*run: a file of that name is in the way"):
        claim_folder(tmp_path / "drive" / "run", "run.json")
    with pytest.raises(OutputError, match="the name is too long"):
        claim_folder(tmp_path / ("x" * 300), "run.json")

    def mkdir(self, *_args, **_options):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(self))

    # As in /proc.
    monkeypatch.setattr(type(tmp_path), "mkdir", mkdir)
    with pytest.raises(OutputError, match="No such file or directory"):
        claim_folder(tmp_path / "new", "run.json")


@posix
def test_the_top_of_a_disk_is_no_folder_for_results():
    with pytest.raises(OutputError, match="/ is a whole disk; give a folder on it"):
        claim_folder(files.Path("/"), "run.json")


@posix
def test_a_link_to_what_is_not_there_takes_its_name(tmp_path):
    for name in ("run", "a.cs1", "b.cs1.checkpoint"):
        (tmp_path / name).symlink_to("missing")
    assert claim_folder(tmp_path / "run", "run.json") == tmp_path / "run_2"
    path = write_free(tmp_path / "a.cs1", lambda free: write_bytes(free, b"x", new=True))
    assert path == tmp_path / "a_2.cs1"
    assert write_checkpoint(tmp_path / "b.cs1.checkpoint", {}, new=True) == tmp_path / "b_2.cs1.checkpoint"
    assert not (tmp_path / "missing").exists()


def test_never_replacing_needs_no_links(tmp_path, monkeypatch):
    def no_links(*_args):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    write_bytes(tmp_path / "a", b"1", new=True)
    with pytest.raises(FileExistsError):
        write_bytes(tmp_path / "a", b"2", new=True)
    assert (tmp_path / "a").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_too_little_room_is_told_with_both_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=50_000_000))
    check_room(tmp_path / "not" / "yet", 40_000_000, "the training")
    with pytest.raises(OutputError, match=r"has 50 MB free, but the training needs 94 MB"):
        check_room(tmp_path / "not" / "yet", 90_000_000, "the training")


def test_names_that_are_no_utf8():
    name = os.fsdecode(b"caf\xe9.png")
    assert safe_text(name) == "caf\\xe9.png"
    assert safe_text("zellen ß 中.png") == "zellen ß 中.png"
    assert safe_text("\ud800") == "\\ud800"
    assert (
        terminal_text("a\x1b[2J\x9b1m\r\u202egnp.png\tzellen ß 中\n")
        == "a\\x1b[2J\\x9b1m\\x0d\\u202egnp.png\tzellen ß 中\n"
    )
    assert json_text({name: [name, ("ü", 1.5, None)]}) == '{"caf\\\\xe9.png": ["caf\\\\xe9.png", ["ü", 1.5, null]]}'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "\uff1d1"])
def test_a_table_runs_no_formula(text):
    assert safe_cell(text) == f"'{text}"
    assert safe_cell(-1.5) == -1.5
    assert safe_cell("a=b") == "a=b"
    assert csv_bytes([["name", text], ["b", -2]]).decode("utf-8-sig").startswith("name,")


def test_memory_that_is_full_is_recognised_whoever_says_it(monkeypatch):
    import cv2

    from cellseg1.cli import _unexpected
    from cellseg1.errors import ResourceExhaustedError
    from cellseg1.memory import available_bytes, check_memory, is_out_of_memory

    full = [
        MemoryError(),
        cv2.error("OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 36 bytes"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ]
    assert all(is_out_of_memory(error) for error in full)
    others = [
        cv2.error("(-215:Assertion failed)"),
        ImportError("no module"),
        OSError(2, "No such file"),
        ValueError("out of memory"),
    ]
    assert not any(is_out_of_memory(error) for error in others)
    assert "ulimit -v" in _unexpected(full[-1], None)
    assert available_bytes() > 0
    monkeypatch.setattr("cellseg1.memory.available_bytes", lambda: 2**30)
    with pytest.raises(ResourceExhaustedError, match=r"^The image needs 2\.0 GB of memory and only 1\.0 GB are free"):
        check_memory(2 * 2**30, "The image")


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_limit_on_the_process_counts():
    import subprocess
    import sys

    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9));"
        "from cellseg1.memory import available_bytes; print(available_bytes())"
    )
    free = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
    assert 0 <= free < 10**9
