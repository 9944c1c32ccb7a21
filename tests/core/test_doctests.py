"""Every example in a docstring runs, in a folder with the files that the examples name."""

import doctest
import importlib
import inspect
import shutil
from pathlib import Path

import pytest
from command import IMAGE, MASK
from PIL import Image

import cellseg1

PACKAGE = Path(cellseg1.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)
EXAMPLES = [
    example
    for name in MODULES
    for example in doctest.DocTestFinder().find(importlib.import_module(name))
    if example.examples
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    """``cells.png`` with its ``mask.png``, a model ``nuclei.cs1``, and a folder ``images``."""
    made = tmp_path_factory.mktemp("examples")
    for source, name in ((IMAGE, "cells.png"), (MASK, "mask.png")):
        with Image.open(source) as picture:
            picture.crop((0, 0, 96, 72)).save(made / name)
    shutil.copy(model, made / "nuclei.cs1")
    (made / "images").mkdir()
    shutil.copy(made / "cells.png", made / "images" / "cells.png")
    return made


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example(example, folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    said = []
    ran = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert ran.failed == 0, "".join(said)
    assert ran.attempted > 0


@pytest.mark.parametrize("name", [name for name in cellseg1.__all__ if inspect.isroutine(getattr(cellseg1, name))])
def test_every_public_function_has_an_example(name):
    assert ">>> " in inspect.getdoc(getattr(cellseg1, name))
