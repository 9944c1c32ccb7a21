"""The window in other languages: loading a translation, and collecting what there is to translate.

``python -m app.translation.load FILE.ts`` brings a translation file up to date with the program (``pyside6-lupdate``);
Qt Linguist edits it, ``pyside6-lrelease`` makes the ``.qm`` file of it that belongs into ``resources/translations``
as ``studio_LANGUAGE.qm``.  Without such a file the window is in English.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PySide6.QtCore import QCoreApplication, QTranslator


def install(app: QCoreApplication, folder: Path | None = None, language: str = "") -> list[QTranslator]:
    """Load the translations for the system's language (or `language`); returns those that were found.

    They are to be kept as long as the application runs.
    """
    from PySide6.QtCore import QLibraryInfo, QLocale, QTranslator

    locale = QLocale(language) if language else QLocale()
    places = [("qtbase", Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)))]
    own = _folder() if folder is None else folder
    if own is not None:
        places.append(("studio", own))
    loaded = []
    for name, place in places:
        translator = QTranslator(app)
        if translator.load(locale, name, "_", str(place)) and app.installTranslator(translator):
            loaded.append(translator)
    return loaded


def _folder() -> Path | None:
    from cellseg1.bundled import resource_path

    try:
        return resource_path("translations")
    except FileNotFoundError:
        return None


def collect(out: Path) -> None:
    """Write all texts of the window into a ``.ts`` file; translations that are in it already stay.

    Raises
    ------
    FileNotFoundError
        When pyside6-lupdate, which comes with PySide6, is not there.
    subprocess.CalledProcessError
        When it fails.
    """
    from cellseg1.settings import TABLE

    tool = Path(sys.executable).with_name("pyside6-lupdate" + (".exe" if sys.platform == "win32" else ""))
    with tempfile.TemporaryDirectory() as folder:
        # The help of settings is written in the library, which knows nothing of Qt.
        helps = sorted({row.help for row in TABLE.values()})
        lines = [f'QT_TRANSLATE_NOOP("SettingHelp", {_quoted(one)})\n' for one in helps]
        extra = Path(folder) / "setting_help.py"
        extra.write_text("".join(lines), encoding="utf-8")
        command = [str(tool), "-silent", "-extensions", "py", "-tr-function-alias", "translate+=_translate"]
        package = Path(__file__).parents[1]
        command += [str(package), str(extra), "-ts", str(out)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own command


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


if __name__ == "__main__":
    collect(Path(sys.argv[1]))
