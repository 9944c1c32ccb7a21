"""The scripts that freeze the program: spec, pruning list, entry, compiled files, command line of the build."""

import ast
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cellseg1._version import __version__
from installer import build
from installer.bundle import elf, environment, films, inventory, prune, start
from installer.roots import ROOT, version

BUNDLE = ROOT / "installer" / "bundle"


def test_the_spec_is_python_and_what_it_names_is_there():
    tree = ast.parse((BUNDLE / "cellseg1.spec").read_text(encoding="utf-8"))
    names = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert {"start.py", "torchvision_shim.py", "hooks", "app", "cellseg1"} <= names
    for name in names:
        if name.endswith(".py"):
            assert (BUNDLE / name).is_file()
    for hook in (BUNDLE / "hooks").glob("*.py"):
        ast.parse(hook.read_text(encoding="utf-8"))
    assert version() == __version__


def test_the_pruning_list_has_reasons_and_its_patterns_match_what_they_say():
    rules = prune.read()
    assert all(len(rule.reason) > 10 for rule in (*rules.keep, *rules.drop, *rules.exclude))
    assert rules.why("torch/bin/torch_shm_manager") is None
    assert rules.why("torch\\bin\\protoc.exe").what == "torch/bin/*"
    assert rules.why("torch/include/ATen/ATen.h").reason.startswith("headers")
    for kept in ("torch/lib/libtorch_cpu.so", "PySide6/Qt/plugins/platforms/libqxcb.so", "cv2/cv2.abi3.so"):
        assert rules.why(kept) is None
    # What the program imports may not be excluded.
    used = {"torch", "torchvision", "PySide6", "numpy", "scipy", "skimage", "cv2", "tifffile", "app", "cellseg1"}
    assert not used & {rule.what for rule in rules.exclude}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('[[drop]]\nmatch = "a"\n', "needs match and reason"),
        ('[[drop]]\nmatch = "a"\nreason = " "\n', "needs match and reason"),
        ('[[drop]]\nmatch = "a"\nreason = "b"\n' * 2, "twice"),
        ('[[remove]]\nmatch = "a"\nreason = "b"\n', "unknown table 'remove'"),
        ("[[drop", "cannot be read"),
    ],
)
def test_a_bad_pruning_list_is_one_sentence(tmp_path, text, match):
    (tmp_path / "list.toml").write_text(text)
    with pytest.raises(prune.PruneError, match=match):
        prune.read(tmp_path / "list.toml")


def test_pruning_divides_entries_and_cleans_folders(tmp_path):
    keep, drop = tmp_path / "torch/bin/torch_shm_manager", tmp_path / "torch/bin/test_api"
    module, other = tmp_path / "triton/language/core.py", tmp_path / "tritons.py"
    for path in (keep, drop, module, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    rules = prune.read()
    entries = [(path.relative_to(tmp_path).as_posix(), str(path), "BINARY") for path in (keep, drop)]
    assert rules.apply(entries) == ([entries[0]], {"torch/bin/*": 5})
    assert rules.clean(tmp_path) == {"torch/bin/*": 5, "triton": 5}
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == [keep, other]
    assert not (tmp_path / "triton").exists()


def test_compiled_parts_of_torchvision_go_with_their_libraries_and_links():
    for name, source, kind in (
        ("torchvision/_C.so", "/x", "EXTENSION"),
        ("torchvision.libs/libpng16.1c0b398e.so.16", "/x", "BINARY"),
        ("libpng16.1c0b398e.so.16", "torchvision.libs/libpng16.1c0b398e.so.16", "SYMLINK"),
    ):
        assert prune.belongs_to_compiled_torchvision((name, source, kind))
    for entry in (("torchvision/ops/boxes.py", "/x", "DATA"), ("libpng16.so.16", "/lib/libpng16.so.16", "BINARY")):
        assert not prune.belongs_to_compiled_torchvision(entry)


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("/opt/cellseg1-studio/cellseg1", True),
        ("cellseg1", True),
        ("/opt/cellseg1-studio/cellseg1-studio", False),
        ("/home/a b/ö中文/CellSeg1.EXE", True),
        ("CellSeg1Studio.exe", False),
    ],
)
def test_the_name_tells_window_and_command_apart(program, command):
    assert start.is_command(program) is command


@pytest.mark.skipif(sys.platform == "win32", reason="there the name of the executable counts")
def test_the_entry_starts_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/cellseg1", "--version"])
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == f"cellseg1 {__version__}"


needs_objdump = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("objdump") is None,
    reason="needs objdump (on Debian: apt-get install binutils)",
)


@needs_objdump
def test_what_compiled_files_need_is_read(tmp_path):
    program = Path(shutil.which("sleep")).resolve()
    assert elf.is_elf(program)
    assert not elf.is_elf(Path(__file__))
    read = elf.read(program)
    assert "libc.so.6" in read.needed
    assert read.glibc >= (2, 2)
    shutil.copy2(program, tmp_path / "sleep")
    outside, glibc = elf.outside(tmp_path)
    assert outside["libc.so.6"] == "sleep"
    assert glibc == read.glibc
    (tmp_path / "libc.so.6").write_bytes(b"\x7fELF but a stand-in")
    (tmp_path / "libc.so.6").unlink()


@needs_objdump
def test_libraries_that_nobody_needs_any_more_are_found():
    """Two libraries of Qt: one needs the other, which needs what is not among them."""
    import PySide6

    libraries = Path(PySide6.__file__).parent / "Qt" / "lib"
    gui, core = libraries / "libQt6Gui.so.6", libraries / "libQt6Core.so.6"
    plugin = next((libraries.parent / "plugins" / "imageformats").glob("*.so"))
    alone = [("libQt6Gui.so.6", str(gui), "BINARY"), ("libQt6Core.so.6", str(core), "BINARY")]
    assert elf.unneeded(alone) == {"libQt6Gui.so.6", "libQt6Core.so.6"}
    assert elf.unneeded([*alone, ("plugins/some.so", str(plugin), "BINARY")]) == set()


def _opencv():
    """What is collected of OpenCV: its compiled part, the libraries of its wheel, and links to them."""
    spec = importlib.util.find_spec("cv2")
    compiled = next(Path(spec.origin).parent.glob("cv2*.so"))
    folder = next(iter(compiled.parents[1].glob("opencv_python*.libs")), None)
    libraries = [] if folder is None else sorted(folder.iterdir())
    names = [f"{folder.name}/{path.name}" for path in libraries]
    entries = [(f"cv2/{compiled.name}", str(compiled), "EXTENSION")]
    entries += [(name, str(path), "BINARY") for name, path in zip(names, libraries, strict=True)]
    return entries + [(path.name, name, "SYMLINK") for name, path in zip(names, libraries, strict=True)]


@needs_objdump
@pytest.mark.skipif(shutil.which("as") is None or shutil.which("ld") is None, reason="as and ld are not installed")
def test_opencv_works_without_the_film_codecs(tmp_path):
    entries = _opencv()
    if not any("libavcodec" in name for name, _source, _kind in entries):
        pytest.skip("this build of OpenCV has no film codecs")
    kept, saved = films.without_films(entries, tmp_path / "stand-ins")
    names = {name for name, _source, _kind in kept}
    assert not [name for name in names if "libssl" in name or "libcrypto" in name or "libvpx" in name]
    assert {name for name, _, kind in kept if kind == "SYMLINK"} == {
        name.rpartition("/")[2] for name, _, kind in kept if kind == "BINARY"
    }
    codec = next(Path(source) for name, source, kind in kept if "libavcodec" in name and kind == "BINARY")
    assert codec.parent == tmp_path / "stand-ins"
    assert codec.stat().st_size < 100_000
    assert sum(saved.values()) > 20_000_000
    for name, source, kind in kept:
        if kind != "SYMLINK":
            (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, tmp_path / "site" / name)
    package = Path(entries[0][1]).parent
    for path in package.rglob("*.py"):
        target = tmp_path / "site" / "cv2" / path.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    code = (
        "import cv2, numpy; a = numpy.zeros((40, 60), numpy.uint8); a[5:20, 5:30] = 200; print(cv2.__file__); "
        "print(cv2.connectedComponents(a)[0], cv2.resize(a, (30, 20)).shape, cv2.findContours(a, 0, 2)[0][0].shape[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == [str(tmp_path / "site" / "cv2" / "__init__.py"), "2 (20, 30) 4"]


def test_what_has_no_film_codecs_is_left_alone(tmp_path):
    entries = [("cv2/cv2.pyd", "cv2.pyd", "EXTENSION"), ("libz.so.1", "/usr/lib/libz.so.1", "BINARY")]
    assert films.without_films(entries, tmp_path) == (entries, {})
    assert prune.read().why("cv2/opencv_videoio_ffmpeg4100_64.dll").reason.startswith("reads films")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--variant", "rocm"], "rocm"),
        (["--targets", "msi"], "msi"),
        (["--torch-version", "2.13.0"], "belong together"),
        (["--level", "10"], "10"),
    ],
)
def test_a_wrong_build_is_refused_with_one_sentence(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        build.arguments(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_another_systems_target_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        build.arguments(["--targets", "run" if sys.platform == "win32" else "setup"])
    assert ended.value.code == 2
    assert "cannot be made on this system" in capsys.readouterr().err


def test_an_interpreter_that_does_not_fit_is_refused(tmp_path, capsys):
    code = build.main(
        ["--python", str(tmp_path / "no"), "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    )
    assert code == 2
    assert "is not Python 3.11 or 3.12" in capsys.readouterr().err


@pytest.mark.parametrize(("variant", "cuda", "needs"), [("cpu", "13.0", "CPU builds"), ("cuda", None, "CUDA builds")])
def test_the_wrong_kind_of_torch_is_refused(variant, cuda, needs):
    wish = environment.Wish(variant, "2.13.0", "0.28.0", "", sys.executable)
    with pytest.raises(environment.BuildError, match=f"{needs} with --torch-index"):
        environment._check_variant(wish, {"torch": "2.13.0", "cuda": cuda})


def test_what_is_installed_is_probed():
    facts = environment.probe(Path(sys.executable))
    import torch
    import torchvision

    assert facts["torch"] == torch.__version__
    assert facts["torchvision"] == torchvision.__version__
    assert facts["compiled"] is True
    with pytest.raises(environment.BuildError, match="do not work together"):
        environment.probe(Path(sys.executable).with_name("no-such-python"))


def test_checksums_keep_those_of_other_files_that_are_there(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    build.write_sums(tmp_path, [tmp_path / "a", tmp_path / "b"])
    (tmp_path / "b").unlink()
    build.write_sums(tmp_path, [tmp_path / "c"])
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert lines == [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}" for name in ("a", "c")]
    if shutil.which("sha256sum"):
        assert subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True).returncode == 0


def test_texts_that_wheels_lack_are_there():
    for name in ("PySide6_Essentials", "shiboken6"):
        texts = inventory._known_texts(name)
        assert [file for file, _text in texts] == ["LGPL-3.0.txt", "GPL-3.0.txt"]
        assert all("GNU" in text for _file, text in texts)
