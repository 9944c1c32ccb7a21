"""Builds everything that users install: one command on every system.

``python installer/build.py --variant cpu`` makes an environment of its own, freezes the program, tests what came out,
and packs it.  See installer/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from installer.bundle import BILL, environment
from installer.bundle.environment import TORCH, VARIANTS, Wish
from installer.roots import ROOT, version

WINDOWS = sys.platform == "win32"
TARGETS = ("bundle", "run", "deb", "setup")
NAME = "CellSeg1Studio"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(prog="installer/build.py", description="Build the installers of CellSeg1 Studio.")
    parser.add_argument("--variant", choices=VARIANTS, default="cpu", help="which torch is inside (default: cpu)")
    parser.add_argument(
        "--targets",
        nargs="+",
        choices=TARGETS,
        metavar="TARGET",
        help=f"what to make: {', '.join(TARGETS)} (default: bundle run deb; on Windows: bundle)",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of the results (default: dist)")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build", help="folder for what is made again (default: build)"
    )
    parser.add_argument("--python", default=sys.executable, help="Python 3.11 or 3.12 to build with")
    parser.add_argument("--torch-version", help="instead of the one that was tried with the variant")
    parser.add_argument("--torchvision-version", help="the one that belongs to that torch")
    parser.add_argument("--torch-index", default="", help="package index that has the variant's torch")
    parser.add_argument("--no-smoke", action="store_true", help="do not test the frozen program")
    parser.add_argument("--level", type=int, default=3, choices=range(10), help="compression of packages (default: 3)")
    options = parser.parse_args(words)
    options.targets = options.targets or (["bundle"] if WINDOWS else ["bundle", "run", "deb"])
    wrong = {"run", "deb"} if WINDOWS else {"setup"}
    if bad := sorted(wrong & set(options.targets)):
        parser.error(f"the target {bad[0]} cannot be made on this system (see installer/README.md)")
    if (options.torch_version is None) != (options.torchvision_version is None):
        parser.error("--torch-version and --torchvision-version belong together")
    return options


class Build:
    """One build: its folders, and how long each step took."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.variant: str = options.variant
        self.out: Path = options.out.absolute()
        self.work: Path = options.work.absolute() / options.variant
        self.bundle = self.out / f"bundle-{self.variant}" / NAME
        self.facts: dict[str, Any] = {"version": version(), "variant": self.variant, "seconds": {}}

    def step(self, name: str, call: Callable[[], Any]) -> Any:
        """Say what is done, do it, and remember the time."""
        print(f"== {name} ...", flush=True)
        start = time.monotonic()
        result = call()
        self.facts["seconds"][name] = round(time.monotonic() - start, 1)
        print(f"== {name}: {self.facts['seconds'][name]} s", flush=True)
        return result

    def run(self) -> None:
        """Do everything that was asked for."""
        options = self.options
        self.work.mkdir(parents=True, exist_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)
        torch, vision = options.torch_version, options.torchvision_version
        if torch is None:
            torch, vision = TORCH[self.variant]
        wish = Wish(self.variant, torch, vision, options.torch_index, options.python)
        environ = self.step("environment", lambda: environment.prepare(wish, self.work / "environment"))
        self.facts |= environ.facts
        self.facts["torchvision_shim"] = not environ.facts["compiled"]
        self.step("freezing", lambda: self._freeze(environ))
        self.step("licences and bill of materials", lambda: self._finish(environ))
        if not options.no_smoke:
            self.step("smoke test", lambda: self._smoke(environ))
        made: list[Path] = []
        for target in options.targets:
            if target != "bundle":
                made += self.step(target, lambda target=target: self._package(target))
        self._write_sums(made)

    def _freeze(self, environ: environment.Environment) -> None:
        resources = self.work / "resources"
        shutil.rmtree(resources, ignore_errors=True)
        shutil.copytree(ROOT / "resources", resources)
        for name in ("LICENSE", "NOTICE"):
            shutil.copy2(ROOT / name, resources)
        words = ["--resources", resources, "--report", self.work / "collected.json"]
        if self.facts["torchvision_shim"]:
            words.append("--shim")
        if WINDOWS:
            icon = self.work / "cellseg1.ico"
            environment.run(
                environ.python,
                "-c",
                "import sys; from pathlib import Path; from installer.windows.pictures import write_ico;"
                "write_ico(Path(sys.argv[1]))",
                icon,
            )
            words += ["--icon", icon]
        shutil.rmtree(self.bundle.parent, ignore_errors=True)
        environment.run(
            environ.python,
            *("-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"),
            *("--workpath", self.work / "pyinstaller", "--distpath", self.bundle.parent),
            ROOT / "installer" / "bundle" / "cellseg1.spec",
            "--",
            *words,
            # The same input gives the same files.
            PYTHONHASHSEED="1",
            OMP_NUM_THREADS="1",
        )

    def _finish(self, environ: environment.Environment) -> None:
        report = self.work / "finished.json"
        environment.run(
            environ.python,
            *("-m", "installer.bundle.finish", "--report", self.work / "collected.json", "--bundle", self.bundle),
            *("--variant", self.variant, "--out", report),
        )
        if not WINDOWS:
            environment.run(environ.python, "-m", "installer.linux.tree", self.work / "icons")
        self.facts |= json.loads(report.read_text(encoding="utf-8"))
        self.facts["bundle"] = str(self.bundle)
        (self.bundle / "_internal" / "build.json").write_text(
            json.dumps(
                {key: self.facts[key] for key in ("version", "variant", "torch", "torchvision", "cuda", "python")}
            ),
            encoding="utf-8",
        )

    def _smoke(self, environ: environment.Environment) -> None:
        formats = self.work / "formats"
        environment.run(environ.python, "-m", "installer.smoke.formats", formats)
        report = self.out / f"smoke-{self.variant}.json"
        environment.run(
            sys.executable,
            *("-m", "installer.smoke", self.bundle, "--formats", formats, "--report", report),
        )
        self.facts["smoke"] = json.loads(report.read_text(encoding="utf-8"))["seconds"]

    def _package(self, target: str) -> list[Path]:
        if target == "setup":
            from installer.windows.setup_exe import make_setup

            return make_setup(self.bundle, self.out, version=version(), variant=self.variant)
        if target == "run":
            from installer.linux.make_run import make_run

            return make_run(
                self.bundle, self.work / "icons", self.out, self.facts, self.work / "run", level=self.options.level
            )
        from installer.linux.make_deb import make_deb

        return [
            make_deb(
                self.bundle, self.work / "icons", self.out, self.facts, self.work / "deb", level=self.options.level
            )
        ]

    def _write_sums(self, made: list[Path]) -> None:
        bill = self.out / f"CellSeg1-Studio-{version()}-{'windows' if WINDOWS else 'linux'}-{self.variant}.cdx.json"
        shutil.copy2(self.bundle / "_internal" / "resources" / BILL, bill)
        made = [*made, bill]
        self.facts["sizes"] = {path.name: path.stat().st_size for path in made}
        (self.out / f"build-{self.variant}.json").write_text(json.dumps(self.facts, indent=1), encoding="utf-8")
        write_sums(self.out, made)
        for path in made:
            print(f"{path.stat().st_size / 1e6:10.1f} MB  {path}")


def write_sums(folder: Path, made: list[Path]) -> None:
    """Put the checksums of these files into ``SHA256SUMS``; those of other files stay, where the files are there."""
    target = folder / "SHA256SUMS"
    lines: dict[str, str] = {}
    if target.is_file():
        for line in target.read_text(encoding="utf-8").splitlines():
            digest, _, name = line.partition("  ")
            if (folder / name).is_file():
                lines[name] = digest
    for path in made:
        with path.open("rb") as stream:
            lines[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(lines.items()))
    target.write_text(text, encoding="utf-8", newline="\n")


def main(words: list[str] | None = None) -> int:
    """Build; returns the exit code."""
    options = arguments(words)
    try:
        Build(options).run()
    except (RuntimeError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
