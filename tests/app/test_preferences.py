import json

import pytest

from app.preferences.fields import TABLE, Preferences
from app.preferences.store import PreferencesStore, config_folder
from cellseg1.errors import SettingsError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def path(home):
    return home / "config" / "preferences.json"


def test_the_first_start(qapp, home, path):
    store = PreferencesStore()
    assert store.path == path
    assert config_folder() == path.parent
    assert store.values == Preferences()
    assert store.notes == []
    assert store.flush()
    assert not path.exists()  # nothing was changed, so nothing is written


def test_the_usual_folder_is_the_platforms(monkeypatch):
    monkeypatch.delenv("CELLSEG1_STUDIO_HOME", raising=False)
    assert config_folder().name == "CellSeg1 Studio"
    assert config_folder().is_absolute()


def test_values_come_back(qapp, path, qtbot):
    store = PreferencesStore()
    names = []
    store.changed.connect(names.append)
    store.update(theme="dark", device="cuda:1", brush_size=23.5, protect_cells=False, project_folder="/data/Zellen ü")
    store.set("theme", "dark")  # nothing new
    store.set_layout("window", b"\x00\x01\xff")
    assert names == ["theme", "device", "brush_size", "protect_cells", "project_folder", "layouts"]
    qtbot.waitUntil(path.exists, timeout=3000)  # written without being asked to
    again = PreferencesStore()
    assert again.values == store.values
    assert again.values.project_folder == "/data/Zellen ü"
    assert again.layout("window") == b"\x00\x01\xff"
    assert again.layout("other") == b""
    assert [item.name for item in path.parent.iterdir()] == ["preferences.json"]  # no temporary file


def test_all_are_set_before_anybody_is_told(qapp, home):
    store = PreferencesStore()
    seen = []
    store.changed.connect(lambda _name: seen.append((store.values.overlay_mode, store.values.theme)))
    store.update(overlay_mode="outline", theme="light")
    assert seen == [("outline", "light")] * 2
    store.flush()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theme", "blue"),
        ("theme", 1),
        ("device", "gpu"),
        ("device", "cuda:"),
        ("brush_size", 0),
        ("brush_size", float("nan")),
        ("brush_size", True),
        ("overlay_opacity", 1.5),
        ("protect_cells", 1),
        ("layouts", {"a": 3}),
        ("project_folder", None),
        ("no_such_thing", 1),
    ],
)
def test_bad_values_are_refused_and_change_nothing(qapp, home, name, value):
    store = PreferencesStore()
    with pytest.raises(SettingsError, match=name):
        store.update(**{"overlay_mode": "outline", name: value})
    assert store.values == Preferences()


def test_every_preference_has_a_check(qapp, home):
    store = PreferencesStore()
    store.update(**{name: getattr(store.values, name) for name in TABLE})


def test_reset(qapp, home):
    store = PreferencesStore()
    store.update(theme="dark", overlay_mode="outline")
    store.set_layout("window", b"x")
    store.reset("theme")
    assert (store.values.theme, store.values.overlay_mode) == ("system", "outline")
    store.reset()
    assert store.values.overlay_mode == "fill"
    assert store.layout("window") == b"x"
    store.flush()


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"\xff\xfe\x00", b"[1]", b'{"schema": 1}', b'{"schema": "x", "values": {}}', b"[" * 100_000]
)
def test_a_damaged_file_is_kept_aside(qapp, path, damage):
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)
    store = PreferencesStore()
    assert store.values == Preferences()
    assert len(store.notes) == 1
    assert path.read_bytes() == damage  # reading changes nothing
    store.set("theme", "dark")
    assert store.flush()
    assert (path.parent / "preferences.json.damaged-1").read_bytes() == damage
    assert PreferencesStore().values.theme == "dark"


def test_two_damaged_files_are_both_kept(qapp, path):
    path.parent.mkdir(parents=True)
    for number in (1, 2):
        path.write_bytes(b"damage %d" % number)
        store = PreferencesStore()
        store.set("theme", "dark")
        store.flush()
    kept = sorted(path.parent.glob("preferences.json.damaged-*"))
    assert [item.read_bytes() for item in kept] == [b"damage 1", b"damage 2"]


def test_a_newer_file_is_used_as_far_as_it_is_known_and_kept(qapp, path):
    path.parent.mkdir(parents=True)
    newer = json.dumps({"schema": 7, "values": {"theme": "dark", "overlay_mode": {"how": "fill"}, "holograms": True}})
    path.write_text(newer)
    store = PreferencesStore()
    assert store.values.theme == "dark"
    assert store.values.overlay_mode == "fill"
    assert any("newer" in note for note in store.notes)
    store.set("theme", "light")
    store.flush()
    assert (path.parent / "preferences.json.version-7-1").read_text() == newer


def test_one_bad_value_does_not_cost_the_others_nor_what_is_unknown(qapp, path):
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema": 1, "values": {"theme": "dark", "brush_size": "big", "holograms": [1, 2]}}))
    store = PreferencesStore()
    assert (store.values.theme, store.values.brush_size) == ("dark", Preferences().brush_size)
    assert "brush_size" in store.notes[0]
    store.set("overlay_mode", "outline")
    store.flush()
    values = json.loads(path.read_text())["values"]
    assert values["holograms"] == [1, 2]
    assert not list(path.parent.glob("*damaged*"))


def test_a_folder_that_cannot_be_written(qapp, home, path, qtbot):
    path.parent.parent.joinpath("config").write_text("a file in the way")
    store = PreferencesStore()
    store.set("theme", "dark")
    with qtbot.waitSignal(store.problem) as told:
        assert not store.flush()
    assert "cannot be saved" in told.args[0]
    assert store.values.theme == "dark"
    (home / "config").unlink()
    assert store.flush()  # tried again, with the change that was kept
    assert PreferencesStore().values.theme == "dark"


def test_a_damaged_layout_is_empty(qapp, path):
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema": 1, "values": {"layouts": {"window": "not base64!"}}}))
    assert PreferencesStore().layout("window") == b""
