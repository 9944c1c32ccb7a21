"""Licences and bill of materials, from a stand-in environment with three packages."""

import json
import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest

from app.dialogs import licences
from installer.bundle import inventory, sbom
from installer.bundle.inventory import Component


def install(folder, name, version, *, licence="", texts=(), files=(), extra=""):
    """Lay down an installed package."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}"]
    lines += [f"License-Expression: {licence}"] if licence else []
    (info / "METADATA").write_text("\n".join([*lines, extra]) + "\n", encoding="utf-8")
    record = [f"{info.name}/METADATA,,"]
    for place, text in texts:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        record.append(f"{place},,")
    for place in files:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text("x = 1\n")
        record.append(f"{place},,")
    (info / "RECORD").write_text("\n".join(record) + "\n", encoding="utf-8")


@pytest.fixture
def packages(tmp_path):
    folder = tmp_path / "site-packages"
    install(
        folder,
        "alpha",
        "1.0",
        licence="MIT",
        texts=[("alpha-1.0.dist-info/licenses/LICENSE", "MIT of älpha\n"), ("alpha/LICENSE-3RD-PARTY.txt", "theirs")],
        files=["alpha/__init__.py", "alpha/license.py"],
        extra="Project-URL: Homepage, https://alpha.example",
    )
    install(folder, "Beta_Gamma", "2.0", extra="Classifier: License :: OSI Approved :: BSD License")
    install(folder, "shiboken6", "6.0", extra="License: LGPL-3.0-only")
    install(folder, "cellseg1-studio", "0.1.0")
    return folder


def test_packages_are_described_with_all_their_texts(packages):
    found = {one.name: one for one in inventory.components_of_folders([packages])}
    assert list(found) == ["alpha", "Beta_Gamma", "shiboken6"]
    alpha = found["alpha"]
    assert (alpha.version, alpha.licence, alpha.homepage) == ("1.0", "MIT", "https://alpha.example")
    assert [name for name, _text in alpha.texts] == [
        "alpha-1.0.dist-info/licenses/LICENSE",
        "alpha/LICENSE-3RD-PARTY.txt",
    ]
    assert "MIT of älpha" in alpha.text()
    assert found["Beta_Gamma"].licence == "BSD License"
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in found["shiboken6"].text()


def test_a_package_without_any_text_stops_the_build(packages):
    with pytest.raises(inventory.InventoryError, match="Beta_Gamma; put it into"):
        inventory.check(inventory.components_of_folders([packages]))


def test_only_what_was_frozen_is_listed(packages, tmp_path, monkeypatch):
    install(packages, "pyinstaller", "6.0", texts=[("pyinstaller-6.0.dist-info/COPYING.txt", "GPL with exception")])
    system = tmp_path / "lib" / "libsomething.so.1"
    system.parent.mkdir()
    system.write_text("")
    everything = metadata.distributions
    monkeypatch.setattr(metadata, "distributions", lambda **_: everything(path=[str(packages)]))
    monkeypatch.setattr(inventory.shutil, "which", lambda _name: None)
    files = [
        ("alpha", str(packages / "alpha/__init__.py")),
        ("json", json.__file__),
        ("resources/NOTICE", str(tmp_path / "copied" / "NOTICE")),
        ("app/shell/main_window.py", str(inventory.ROOT / "app" / "main_window.py")),
        ("libsomething.so.1", str(system)),
    ]
    names = [one.name for one in inventory.components_of_files(files)]
    assert names == ["alpha", "libsomething.so.1", "pyinstaller", "Python"]
    python = next(one for one in inventory.components_of_files(files) if one.kind == "python")
    assert python.version == ".".join(map(str, sys.version_info[:3]))


def test_a_file_of_an_unknown_package_stops_the_build(packages, monkeypatch):
    install(packages, "pyinstaller", "6.0")
    (packages / "stray.py").write_text("")
    everything = metadata.distributions
    monkeypatch.setattr(metadata, "distributions", lambda **_: everything(path=[str(packages)]))
    monkeypatch.setattr(inventory.sysconfig, "get_path", lambda _name: str(packages))
    with pytest.raises(inventory.InventoryError, match=r"No package owns stray"):
        inventory.components_of_files([("stray", str(packages / "stray.py"))])


def test_the_window_shows_what_was_written_when_it_was_built(packages, tmp_path, monkeypatch):
    components = inventory.components_of_folders([packages])
    inventory.write_licences(components, tmp_path / "resources")
    text = (tmp_path / "resources" / "LICENCES.txt").read_text(encoding="utf-8")
    assert "  alpha 1.0: MIT\n" in text
    assert text.index("MIT of älpha") < text.index("GNU LESSER")
    monkeypatch.setattr(licences, "resource_folders", lambda: [tmp_path / "nowhere", tmp_path / "resources"])
    shown = licences.packages()
    assert [(one.name, one.version, one.licence) for one in shown] == [
        ("alpha", "1.0", "MIT"),
        ("Beta_Gamma", "2.0", "BSD License"),
        ("shiboken6", "6.0", "LGPL-3.0-only"),
    ]
    assert "MIT of älpha" in shown[0].text()
    # Damaged, it is as if it were not there: the packages that are installed are asked.
    (tmp_path / "resources" / "licences.json").write_text("{")
    assert {"numpy", "torch"} <= {one.name for one in licences.packages()}


def test_the_bill_of_materials_is_valid_and_complete():
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    components = [
        Component("alpha", "1.0", "package", "MIT", "https://alpha.example", [("LICENSE", "x")]),
        Component("torch", "2.13.0+cpu", "package", "BSD-3-Clause AND MIT"),
        Component("odd", "1", "package", "A licence of its own kind"),
        Component("Python", "3.11.7", "python", "PSF-2.0"),
        Component("libxcb-cursor0", "0.1.1-4", "system", "MIT"),
        Component("ucrtbase.dll", "", "system"),
    ]
    text = sbom.make(components, "0.1.0", "cpu")
    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["version"] == "0.1.0"
    assert {one["name"]: one.get("version", "") for one in bill["components"]} == {
        one.name: one.version for one in components
    }
    assert "pkg:pypi/torch@2.13.0%2Bcpu" in text
    root = next(one for one in bill["dependencies"] if one["ref"] == "cellseg1-studio")
    assert len(root["dependsOn"]) == len(components)


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="a system with Debian's packages")
def test_libraries_of_the_system_are_found_in_its_packages(tmp_path):
    shell = Path(shutil.which("dpkg-query")).resolve()
    found = inventory._system([str(shell)])
    assert [(one.name, one.kind) for one in found] == [("dpkg", "system")]
    assert found[0].version
    stray = tmp_path / "libstray.so.1"
    stray.write_text("")
    with pytest.raises(inventory.InventoryError, match=r"No package of the system owns .*libstray"):
        inventory._system([str(stray)])
