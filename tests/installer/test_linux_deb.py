"""The .deb package with a stand-in program, and the menu entry and file types that both packages bring."""

import shutil
import subprocess
import sys
import tomllib
from xml.etree import ElementTree as ET

import pytest
from stand_in import FACTS, bundle

from app.base.names import SUFFIX as PROJECT
from app.project.archive import SUFFIX as ARCHIVE
from app.project.models import SUFFIX as MODEL
from installer.linux import make_deb, tree

NAMESPACE = {"m": "http://www.freedesktop.org/standards/shared-mime-info"}
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")


def test_the_file_types_are_those_of_the_program_and_the_menu_entry_opens_all_of_them():
    types = ET.parse(tree.TYPES).getroot().findall("m:mime-type", NAMESPACE)
    patterns = {one.get("type"): one.find("m:glob", NAMESPACE).get("pattern") for one in types}
    assert sorted(patterns.values()) == sorted(f"*{suffix}" for suffix in (ARCHIVE, MODEL, PROJECT))
    entry = tree.DESKTOP.read_text(encoding="utf-8")
    opened = next(line for line in entry.splitlines() if line.startswith("MimeType=")).removeprefix("MimeType=")
    assert opened.strip(";").split(";") == list(patterns)


@pytest.mark.skipif(shutil.which("update-mime-database") is None, reason="needs shared-mime-info")
def test_the_system_takes_the_file_types(tmp_path):
    packages = tmp_path / "mime" / "packages"
    packages.mkdir(parents=True)
    shutil.copy2(tree.TYPES, packages)
    done = subprocess.run(["update-mime-database", str(tmp_path / "mime")], capture_output=True, text=True)
    assert done.returncode == 0
    assert "50:application/x-cellseg1-model:*.cs1\n" in (tmp_path / "mime" / "globs2").read_text()


def test_icons_are_drawn_sharp_in_every_size(tmp_path):
    from PIL import Image

    tree.draw_icons(tmp_path)
    for size in tree.SIZES:
        with Image.open(tmp_path / f"hicolor/{size}x{size}/apps/cellseg1-studio.png") as picture:
            assert picture.size == (size, size)
            # Round corners: nothing there; in the middle there is something.
            assert picture.convert("RGBA").getpixel((0, 0))[3] == 0
            assert picture.convert("RGBA").getpixel((size // 2, size // 2))[3] == 255


def test_a_library_that_nobody_knows_stops_the_build():
    assert tree.system_packages(FACTS["outside"]) == ["libc6", "libegl1"]
    with pytest.raises(tree.PackageError, match=r"libstrange\.so\.1, which some/file needs"):
        tree.system_packages({"libstrange.so.1": "some/file"})


def test_no_library_stands_in_the_table_twice():
    table = tomllib.loads((tree.HERE / "system_libraries.toml").read_text(encoding="utf-8"))
    libraries = [one for libraries in table["packages"].values() for one in libraries]
    assert len(libraries) == len(set(libraries))


@pytest.mark.parametrize(
    ("version", "debian"),
    [("0.1.0", "0.1.0"), ("1.0.0rc2", "1.0.0~rc2"), ("1.0.0a1", "1.0.0~a1"), ("1.0.0.dev3", "1.0.0~dev3")],
)
def test_what_comes_before_a_release_is_older_than_it(version, debian):
    assert make_deb.debian_version(version) == debian
    if shutil.which("dpkg"):
        older = ["dpkg", "--compare-versions", debian, "le", version.rstrip("0123456789").rstrip("a-z.") or version]
        assert debian == version or subprocess.run([*older[:-1], "1.0.0"], check=False).returncode == 0


@needs_dpkg
@pytest.mark.skipif(sys.platform != "linux", reason="packages for Linux")
def test_the_package_holds_everything_in_its_place(tmp_path):
    tree.draw_icons(tmp_path / "icons")
    program = bundle(tmp_path / "bundle")
    made = make_deb.make_deb(program, tmp_path / "icons", tmp_path, FACTS, tmp_path / "work", level=0)
    assert made.name == "cellseg1-studio_0.1.0_amd64.deb"
    fields = subprocess.run(["dpkg-deb", "--field", made], capture_output=True, text=True, check=True).stdout
    assert "Package: cellseg1-studio\n" in fields
    assert "Depends: libc6 (>= 2.17), libegl1\n" in fields
    assert "Conflicts: cellseg1-studio-cuda\n" in fields
    root = tmp_path / "root"
    subprocess.run(["dpkg-deb", "--extract", made, root], check=True)
    assert (root / "opt/cellseg1-studio/cellseg1").readlink().name == "cellseg1-studio"
    assert str((root / "usr/bin/cellseg1").readlink()) == "/opt/cellseg1-studio/cellseg1"
    entry = (root / "usr/share/applications/cellseg1-studio.desktop").read_text()
    assert "Exec=/opt/cellseg1-studio/cellseg1-studio %f\n" in entry
    assert "@" not in entry
    assert "LICENCES.txt" in (root / "usr/share/doc/cellseg1-studio/copyright").read_text()
    listing = subprocess.run(["dpkg-deb", "--contents", made], capture_output=True, text=True, check=True).stdout
    owners = {line.split()[1] for line in listing.splitlines()}
    assert owners == {"root/root"}
    # Nobody but root can write into it, and nothing lies in anybody's home.
    assert not [line for line in listing.splitlines() if line[8] == "w" and not line.startswith("l")]
    assert {line.split()[5].split("/")[1] for line in listing.splitlines()} <= {"", "opt", "usr"}
