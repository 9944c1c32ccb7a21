"""Where projects, models and the program's own files are on this computer."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from cellseg1.sam.registry import data_dir

#: Puts everything under one folder, for tests and for a portable installation.
HOME_VARIABLE = "CELLSEG1_STUDIO_HOME"
_APP = "CellSeg1 Studio"


def _root() -> Path | None:
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else None


def home_folder() -> Path:
    """Return the folder that belongs to this user's program: what is open in it is open once."""
    return _root() or config_folder()


def config_folder() -> Path:
    """Return the folder of preferences and the list of recent projects (it may not exist yet)."""
    root = _root()
    return root / "config" if root else Path(platformdirs.user_config_dir(_APP, appauthor=False))


def log_folder() -> Path:
    """Return the folder of log files (it may not exist yet)."""
    root = _root()
    return root / "logs" if root else Path(platformdirs.user_log_dir(_APP, appauthor=False))


def cache_folder() -> Path:
    """Return the folder for what can be made again at any time (it may not exist yet)."""
    root = _root()
    return root / "cache" if root else Path(platformdirs.user_cache_dir(_APP, appauthor=False))


def default_project_folder() -> Path:
    """Return the folder that new projects are offered (it may not exist yet)."""
    root = _root()
    return root / "projects" if root else Path(platformdirs.user_documents_dir()) / "CellSeg1 projects"


_chosen_library: Path | None = None


def choose_library(folder: Path | None) -> None:
    """Use another folder for the models that all projects share; None takes the usual one again."""
    global _chosen_library  # noqa: PLW0603 - one per process, set from the preferences
    _chosen_library = folder


def library_folder() -> Path:
    """Return the folder of models that all projects share (it may not exist yet)."""
    if _chosen_library is not None:
        return _chosen_library
    root = _root()
    return root / "models" if root else data_dir() / "models"
