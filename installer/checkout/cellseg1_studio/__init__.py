"""In a checkout: the name under which the wheel installs the window, whose folder here is ``app``."""

from pathlib import Path

__path__ = [str(Path(__file__).parents[3] / "app")]
