"""The code on the page about adding something, as an installed package would bring it along."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "contributing" / "extending.md"


def blocks():
    """Python code by the name of the file in its first line, and the entry points."""
    text = PAGE.read_text(encoding="utf-8")
    code = {}
    for block in re.findall(r"```python\n# (\S+)\n(.*?)```", text, re.DOTALL):
        code[block[0]] = block[1]
    return code, re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


def install(folder):
    """Put the package of the page into a folder for the module path."""
    code, points = blocks()
    for name, text in code.items():
        if name.startswith("my_package/"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    (folder / "my_package" / "__init__.py").write_text("")
    info = folder / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    lines = "".join(points).replace('[project.entry-points."', "[").replace('"]', "]").replace('"', "")
    (info / "entry_points.txt").write_text(lines)
