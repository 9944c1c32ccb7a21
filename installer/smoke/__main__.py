"""Runs a built or installed program from outside, with nothing of this computer's Python in reach.

``python -m installer.smoke PROGRAM_FOLDER``: environment and search path are empty, the home folder is a new one with
a space and letters of several scripts, and on Linux there is no network, where the system allows to take it away.
Steps: version, examination, formats, the demo, the window's self-test, and the accuracy of what the window saved.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WINDOWS = sys.platform == "win32"
WINDOW = "CellSeg1Studio.exe" if WINDOWS else "cellseg1-studio"
COMMAND = "cellseg1.exe" if WINDOWS else "cellseg1"
HOME = "home of ö中文"
#: What the demo and the masks of the self-test must reach; both are far above this (see README.md).
DEMO_AP, WINDOW_AP = 0.70, 0.40
_SECONDS = 3600


class SmokeError(AssertionError):
    """The program does not do what it should."""


class Smoke:
    """One run of all steps.

    Parameters
    ----------
    program
        Folder with the window and the command.
    work
        Folder for everything that is written.
    formats
        Folder made by `installer.smoke.formats`; None leaves this step out.
    """

    def __init__(self, program: Path, work: Path, formats: Path | None) -> None:
        self.program, self.work, self.formats = program, work, formats
        self.report: dict[str, Any] = {"passed": False, "seconds": {}, "found": {}}
        self._home = work / HOME
        self._home.mkdir(parents=True)
        self._prefix = _without_network()
        self.report["network"] = "taken away" if self._prefix else "not taken away"

    def run(self) -> None:
        """Do all steps; SmokeError tells which one failed and why."""
        for name in (WINDOW, COMMAND):
            if not (self.program / name).exists():
                raise SmokeError(f"{self.program / name} is missing")
        version = self._step("version", lambda: self.command("--version")).strip()
        examined = json.loads(self._step("examination", lambda: self.command("doctor", "--json")))
        usable = [one["name"] for one in examined["backbones"] if one["usable"]]
        self.report["found"] |= {"version": version, "torch": examined["torch"], "backbones": usable}
        if "tiny" not in usable or not any(one["name"] == "cpu" and one["usable"] for one in examined["devices"]):
            raise SmokeError(f"the examination found {examined}")
        if self.formats is not None:
            self._step("formats", self._read_formats)
        self._step("demo", self._demo)
        self._step("window", self._window)
        self._step("accuracy of the window's masks", self._accuracy)
        self.report["passed"] = True

    def _step(self, name: str, call: Any) -> Any:
        start = time.monotonic()
        try:
            return call()
        except (subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
            raise SmokeError(f"{name}: {error}") from error
        finally:
            self.report["seconds"][name] = round(time.monotonic() - start, 1)
            print(f"{name}: {self.report['seconds'][name]} s", flush=True)

    def _read_formats(self) -> None:
        assert self.formats is not None
        scores = self._evaluate(self.formats / "plain", self.formats / "packed")
        if scores["ap"]["0.50"] != 1.0 or scores["pq"] != 1.0:
            raise SmokeError(f"packed and plain label images differ: {scores['images']}")
        self.report["found"]["formats"] = len(scores["images"])

    def _demo(self) -> None:
        out = self.work / "demo ö中文"
        found = json.loads(self.command("demo", "--json", "-q", "--device", "cpu", "--out", str(out)))
        self.report["found"]["demo"] = {
            "ap50": found["ap"]["0.50"],
            "ap50_without_adapter": found["without_adapter"]["ap"]["0.50"],
            "seconds": found["seconds"],
        }
        if found["ap"]["0.50"] < DEMO_AP:
            raise SmokeError(f"the demo's AP@0.5 is {found['ap']['0.50']:.3f}, below {DEMO_AP}")

    def _window(self) -> None:
        folder = self.work / "self-test ö中文"
        done = self._start(WINDOW, "--self-test", str(folder))
        report = folder / "report.json"
        said = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {}
        self.report["window"] = said
        if done.returncode or not said.get("passed"):
            raise SmokeError(f"the self-test ended with {done.returncode}: {said.get('error')}\n{done.stderr[-2000:]}")
        if not said["frozen"]:
            raise SmokeError(f"{said['executable']} is no frozen program")

    def _accuracy(self) -> None:
        home = self.work / "self-test ö中文"
        truth = next(home.rglob("truth"))
        pred = self.work / "accepted"
        pred.mkdir()
        for path in (home / "masks").iterdir():
            if (truth / f"{path.stem}.png").is_file():
                shutil.copy2(path, pred)
                (self.work / "truth").mkdir(exist_ok=True)
                shutil.copy2(truth / f"{path.stem}.png", self.work / "truth")
        ap = self._evaluate(self.work / "truth", pred)["ap"]["0.50"]
        self.report["found"]["window_ap50"] = ap
        if ap < WINDOW_AP:
            raise SmokeError(f"the AP@0.5 of what the window saved is {ap:.3f}, below {WINDOW_AP}")

    def _evaluate(self, truth: Path, pred: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.command("evaluate", "--json", "--truth", str(truth), "--pred", str(pred))
        )
        return found

    # ---- running it

    def command(self, *words: str) -> str:
        """Run the command and return what it printed; SmokeError when it fails."""
        done = self._start(COMMAND, *words)
        if done.returncode:
            raise SmokeError(f"cellseg1 {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Return the whole environment that the program gets."""
        keep = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "QT_QPA_PLATFORM", "OMP_NUM_THREADS")
        found = {name: os.environ[name] for name in keep if name in os.environ}
        if WINDOWS:
            for name in ("SYSTEMROOT", "WINDIR", "TEMP", "TMP", "NUMBER_OF_PROCESSORS"):
                if name in os.environ:
                    found[name] = os.environ[name]
            local, roaming = self._home / "AppData" / "Local", self._home / "AppData" / "Roaming"
            found |= {"USERPROFILE": str(self._home), "LOCALAPPDATA": str(local), "APPDATA": str(roaming), "PATH": ""}
        else:
            found |= {"HOME": str(self._home), "PATH": "/nonexistent", "LANG": "C.UTF-8"}
            if "DISPLAY" not in found and "WAYLAND_DISPLAY" not in found:
                found.setdefault("QT_QPA_PLATFORM", "offscreen")
        return found

    def _start(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._prefix, str(self.program / name), *words],
            cwd=self.work,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )


def _without_network() -> list[str]:
    """Return the words before a command that take the network away from it; none where that is not allowed."""
    tool = shutil.which("unshare")
    if WINDOWS or tool is None:
        return []
    for words in ([tool, "--net", "--"], [tool, "--map-root-user", "--net", "--"]):
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    return []


def main(words: list[str] | None = None) -> int:
    """Run the test; returns the exit code."""
    parser = argparse.ArgumentParser(prog="installer.smoke", description="Test a built or installed CellSeg1 Studio.")
    parser.add_argument("program", type=Path, help="folder with the programs")
    parser.add_argument("--formats", type=Path, help="folder made by `python -m installer.smoke.formats FOLDER`")
    parser.add_argument("--report", type=Path, help="file for what was found, as JSON")
    parser.add_argument(
        "--keep", type=Path, help="new folder for everything that is written, instead of a temporary one"
    )
    options = parser.parse_args(words)
    work = options.keep.absolute() if options.keep else Path(tempfile.mkdtemp(prefix="cellseg1 smoke "))
    if options.keep and work.exists():
        parser.error(f"{work} exists already; name a new folder")
    smoke = Smoke(options.program.absolute(), work, options.formats.absolute() if options.formats else None)
    problem = ""
    try:
        smoke.run()
    except SmokeError as error:
        problem = smoke.report["error"] = str(error)
    finally:
        if options.report:
            text = json.dumps(smoke.report, indent=1, ensure_ascii=False)
            options.report.write_text(text, encoding="utf-8")
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)
    print(f"smoke test: {problem or 'passed'}", file=sys.stderr if problem else sys.stdout)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
