"""The environment that is frozen: a virtual environment of its own, with the torch that was asked for."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installer.roots import ROOT

#: torch and torchvision that each variant was tried with.
TORCH = {"cpu": ("2.13.0", "0.28.0"), "cuda": ("2.14.1", "0.29.1")}
VARIANTS = tuple(TORCH)

# Runs in the environment; nothing of it is installed there.
_PROBE = """
import json, sys
import torch
answer = {"torch": torch.__version__, "cuda": torch.version.cuda, "python": sys.version.split()[0], "torchvision": ""}
try:
    from torchvision import __version__, extension
    answer["torchvision"], answer["compiled"] = __version__, bool(extension._has_ops())
except RuntimeError as error:
    # torchvision describes operators that its compiled part would have defined.
    if "torchvision::" not in str(error):
        raise
    answer["compiled"] = False
    from importlib.metadata import version
    answer["torchvision"] = version("torchvision")
print(json.dumps(answer))
"""


class BuildError(RuntimeError):
    """The build cannot go on; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which torch is wanted.

    Attributes
    ----------
    variant
        cpu or cuda.
    torch, torchvision
        Versions.
    index
        Address of the package index that has them; empty for the one that pip uses anyway.
    python
        Interpreter that the environment is made with.
    """

    variant: str
    torch: str
    torchvision: str
    index: str
    python: str


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment that is ready.

    Attributes
    ----------
    python
        Its interpreter.
    facts
        Versions of torch, torchvision, Python; CUDA's version or None; whether torchvision's compiled part loads.
    """

    python: Path
    facts: dict[str, Any]


def interpreter_of(folder: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def run(*words: object, **variables: str) -> None:
    """Run a command in the checkout and let its output be seen.

    Raises
    ------
    BuildError
        When it fails.
    """
    command = [str(word) for word in words]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False)
    if done.returncode:
        raise BuildError(f"This step failed with exit code {done.returncode}: {' '.join(command[:6])} ...")


def prepare(wish: Wish, folder: Path) -> Environment:
    """Make the environment in `folder`, or take the one that is there when it fits the wish.

    Raises
    ------
    BuildError
        When something cannot be installed, or the wrong kind of torch was.
    """
    _check_python(wish.python)
    python = interpreter_of(folder)
    stamp = folder / "cellseg1-build.json"
    wanted = {
        "wish": [wish.variant, wish.torch, wish.torchvision, wish.index],
        "project": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
    }
    if not (stamp.is_file() and python.exists() and json.loads(stamp.read_text(encoding="utf-8")) == wanted):
        stamp.unlink(missing_ok=True)
        run(wish.python, "-m", "venv", "--clear", folder)
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        index = ("--index-url", wish.index) if wish.index else ()
        run(*pip, *index, f"torch=={wish.torch}", f"torchvision=={wish.torchvision}")
        run(*pip, ".[app,build]")
        # The program itself is frozen from the checkout; a copy of it in the environment would only confuse.
        run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "cellseg1-studio")
    facts = probe(python)
    _check_variant(wish, facts)
    stamp.write_text(json.dumps(wanted), encoding="utf-8")
    return Environment(python, facts)


def probe(python: Path) -> dict[str, Any]:
    """Return what is installed in an environment (see `Environment.facts`)."""
    try:
        done = subprocess.run([str(python), "-c", _PROBE], capture_output=True, text=True, check=True)
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError) as error:
        detail = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
        raise BuildError(f"torch and torchvision do not work together in {python}: {''.join(detail)}") from error
    return facts


def _check_python(python: str) -> None:
    code = "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))"
    try:
        good = subprocess.run([python, "-c", code], check=False).returncode == 0
    except OSError:
        good = False
    if not good:
        raise BuildError(f"{python} is not Python 3.11 or 3.12; name one with --python.")


def _check_variant(wish: Wish, facts: dict[str, Any]) -> None:
    cuda = facts["cuda"] is not None
    if cuda == (wish.variant == "cuda"):
        return
    kind, other = ("a CUDA build", "CPU builds") if cuda else ("a build without CUDA", "CUDA builds")
    raise BuildError(
        f"torch {facts['torch']}, which was installed, is {kind}, and the variant {wish.variant} needs another: "
        f"name the address of an index of {other} with --torch-index."
    )
