"""Packs of weights: made, found beside the installer, checked, imported without a network."""

import dataclasses
import hashlib
import json
import os
import sys

import pytest

from cellseg1 import cli
from cellseg1.errors import BackboneError, OutputError, StoppedError
from cellseg1.sam import packs, registry, store
from installer.packs.make_pack import main, make_pack

CONTENT = b"PK\x03\x04" + os.urandom(300_000)


@pytest.fixture
def official(monkeypatch, tmp_path):
    """A data folder of its own, and a vit_h that is 300 kB of known bytes; returns the official file."""
    monkeypatch.setenv(registry.DATA_DIR_VARIABLE, str(tmp_path / "data"))
    kind = registry.get_kind("vit_h")
    spec = dataclasses.replace(kind.file, size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(registry.BACKBONES.known, "vit_h", dataclasses.replace(kind, file=spec))
    path = tmp_path / "downloaded" / spec.filename
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """A frozen program that was installed from `media`; returns that folder and the program's."""
    program, media = tmp_path / "Program Ö" / "_inside", tmp_path / "média 中文"
    program.mkdir(parents=True)
    media.mkdir()
    (program.parent / packs.ORIGIN).write_text(f"{media}\n", encoding="utf-8")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(program / "cellseg1"))
    monkeypatch.delenv("APPIMAGE", raising=False)
    return media, program


def status(name="vit_h"):
    return next(one for one in store.list_backbones() if one.name == name)


def test_a_large_file_goes_into_parts_and_is_joined_when_used(official, installed):
    media, _ = installed
    made = make_pack(official, "vit_h", media, limit=130_000)
    assert [path.name for path in made] == [
        "CellSeg1-backbone-vit_h.cs1pack",
        *(f"{official.name}.part0{number}" for number in (1, 2, 3)),
        "CellSeg1-backbone-vit_h.SHA256SUMS",
    ]
    assert sorted(path.name for path in media.iterdir()) == sorted(path.name for path in made)
    assert official.read_bytes() == CONTENT
    sums = [line.split("  ") for line in made[-1].read_text().splitlines()]
    assert [(store.hash_file(media / name), name) for _, name in sums] == [tuple(pair) for pair in sums]

    assert status().usable
    assert status().path == made[0]
    assert not registry.models_dir().exists(), "looking changes nothing"
    found = store.find_backbone("vit_h")
    assert found == registry.models_dir() / official.name
    assert found.read_bytes() == CONTENT
    assert status().path == found


def test_an_official_file_beside_the_installer_is_kept(official, installed, monkeypatch):
    media, _ = installed
    made = make_pack(official, "vit_h", media / "backbones")
    assert [path.name for path in made[:2]] == ["CellSeg1-backbone-vit_h.cs1pack", official.name]
    assert status().path == media / "backbones" / official.name

    def full(size):
        raise OutputError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(store, "check_space", full)
        assert store.find_backbone("vit_h") == media / "backbones" / official.name, "no room: used where it is"
    found = store.find_backbone("vit_h")
    assert found == registry.models_dir() / official.name
    (media / "backbones" / official.name).unlink()
    assert store.find_backbone("default") == found, "the stick may go"


def test_a_file_beside_the_program_is_used_where_it_is(official, installed):
    _, program = installed
    (program / official.name).write_bytes(CONTENT)
    assert store.find_backbone("vit_h") == program / official.name
    assert not (registry.models_dir() / official.name).exists()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda part: part.unlink(), r"is not complete: {name} is missing in .*Put all its files into one folder"),
        (lambda part: part.write_bytes(part.read_bytes()[:-1]), r"is not complete: {name} has 129,999 of 130,000"),
    ],
)
def test_an_incomplete_pack_is_described(official, installed, harm, said):
    media, _ = installed
    made = make_pack(official, "vit_h", media, limit=130_000)
    harm(made[2])
    assert not status().usable
    with pytest.raises(BackboneError, match=said.format(name=made[2].name)):
        store.find_backbone("vit_h")
    with pytest.raises(BackboneError, match=said.format(name=made[2].name)):
        store.import_file(made[0])


def test_a_damaged_pack_leaves_nothing(official, installed):
    media, _ = installed
    made = make_pack(official, "vit_h", media, limit=130_000)
    data = bytearray(made[2].read_bytes())
    data[7] ^= 1
    made[2].write_bytes(data)
    with pytest.raises(BackboneError, match=rf"{made[2].name} is damaged"):
        store.find_backbone("vit_h")
    assert list(registry.models_dir().iterdir()) == []

    data[7] ^= 1
    made[2].write_bytes(data)

    def stop(done, total):
        assert total == len(CONTENT)
        raise StoppedError("stop")

    with pytest.raises(StoppedError):
        store.import_file(made[0], progress=stop)
    assert list(registry.models_dir().iterdir()) == []
    card = json.loads(made[0].read_text())
    card["parts"].reverse()
    made[0].write_text(json.dumps(card))
    with pytest.raises(BackboneError, match="do not make sam_vit_h"):
        store.import_file(made[0])
    assert list(registry.models_dir().iterdir()) == []


def test_import_by_hand(official, tmp_path, capsys):
    made = make_pack(official, "vit_h", tmp_path / "anywhere", limit=130_000)
    with pytest.raises(BackboneError, match="holds the backbone vit_h, not vit_b"):
        store.import_file(made[0], "vit_b")
    assert cli.main(["backbone", "import", str(made[0])]) == 0
    assert "Imported: vit_h" in capsys.readouterr().out
    assert store.find_backbone("vit_h").read_bytes() == CONTENT
    make_pack(official, "vit_h", registry.models_dir(), limit=400_000)
    assert store.import_file(registry.models_dir() / made[0].name) == "vit_h", "a pack in the data folder itself"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: card.update(schema=2), "newer version"),
        (lambda card: card.update(sha256="0" * 64), "does not know"),
        (lambda card: card.update(backbone="vit_x"), "does not know"),
        (lambda card: card["parts"][0].update(name="../x"), "is damaged"),
        (lambda card: card["parts"][0].update(name="C:x"), "is damaged"),
        (lambda card: card["parts"].pop(), "is damaged"),
        (lambda card: card.pop("parts"), "is damaged"),
    ],
)
def test_wrong_cards_are_refused(official, installed, change, said):
    media, _ = installed
    card = make_pack(official, "vit_h", media, limit=130_000)[0]
    content = json.loads(card.read_text())
    change(content)
    card.write_text(json.dumps(content))
    with pytest.raises(BackboneError, match=said):
        packs.read_pack(card)
    assert status().path is None
    assert "not on this computer" in status().problem
    card.write_bytes(b"\xff{")
    with pytest.raises(BackboneError, match="is damaged"):
        packs.read_pack(card)


def test_where_the_installer_was(installed, monkeypatch, tmp_path):
    media, program = installed
    origin = program.parent / packs.ORIGIN
    assert packs.installer_folders() == [media]
    origin.write_bytes(f"{media}\r\n".encode("utf-16"))
    assert packs.installer_folders() == [media], "as the Windows setup writes it"
    for wrong in ("", "relative", str(tmp_path / "gone"), "\0"):
        origin.write_text(wrong, encoding="utf-8")
        assert packs.installer_folders() == []
    origin.unlink()
    assert packs.installer_folders() == []
    # Embeddable Python is not frozen: the list lies above its folder.
    monkeypatch.delattr(sys, "frozen")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "Program Ö" / "python"))
    assert packs.program_folders() == []
    origin.write_text(str(media), encoding="utf-8")
    assert packs.program_folders() == [origin.parent]
    assert packs.installer_folders() == [media]


def test_only_official_files_are_packed(official, tmp_path, capsys):
    official.write_bytes(CONTENT[:-1])
    assert main(["vit_h", str(official), "--out", str(tmp_path / "out")]) == 2
    assert "vit_h" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
