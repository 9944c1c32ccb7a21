"""Registries: what the library offers of a kind, its own and what other installed packages add.

A package adds a reader, a backbone, a writer or a measurement through an entry point, and every list of the command,
the API and the window has it::

    [project.entry-points."cellseg1.readers"]
    czi = "my_package.czi:CziReader"

The entry point names an object of the kind, or a class or function without parameters that makes one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_log = logging.getLogger(__name__)
_Kind = TypeVar("_Kind")


class Registry(Generic[_Kind]):
    """What there is of one kind, by name; entry points are looked for when it is first asked.

    Parameters
    ----------
    group
        Name of the entry-point group.
    own
        Gives what comes with the program, in the order of lists; called once.
    check
        Returns the name of an object, or raises `TypeError` when it is not of the kind.
    """

    def __init__(self, group: str, own: Callable[[], Iterable[_Kind]], check: Callable[[object], str]) -> None:
        self.group = group
        self._own = own
        self._check = check
        self._known: dict[str, _Kind] | None = None

    @property
    def known(self) -> dict[str, _Kind]:
        """Everything by name, the program's own first.  One that cannot be loaded is logged and left out."""
        if self._known is None:
            import importlib.metadata

            found = {self._check(one): one for one in self._own()}
            for point in sorted(importlib.metadata.entry_points(group=self.group), key=lambda one: one.name):
                try:
                    loaded = point.load()
                    added: _Kind = loaded() if callable(loaded) else loaded
                    name = self._check(added)
                except Exception:  # noqa: BLE001 - a broken package of somebody else must not take the program along
                    _log.warning("The entry point %s = %s cannot be used.", point.name, point.value, exc_info=True)
                    continue
                if name in found:
                    _log.warning("The entry point %s offers %s, which is there already.", point.value, name)
                else:
                    found[name] = added
            self._known = found
        return self._known

    def all(self) -> tuple[_Kind, ...]:
        """Return everything, the program's own first."""
        return tuple(self.known.values())

    def names(self) -> tuple[str, ...]:
        """Return all names, the program's own first."""
        return tuple(self.known)

    def get(self, name: str) -> _Kind | None:
        """Return what has this name, or None."""
        return self.known.get(name)

    def forget(self) -> None:
        """Look for entry points anew when next asked: packages were installed or removed meanwhile."""
        self._known = None


def name_of(kind: type[object]) -> Callable[[object], str]:
    """Return a check for `Registry`: an object must satisfy the runtime-checkable protocol or class `kind`."""

    def check(one: object) -> str:
        if not isinstance(one, kind):
            raise TypeError(f"{one!r} is no {kind.__name__}: it lacks something that one must have.")
        name = getattr(one, "name", "")
        if not isinstance(name, str) or not name:
            raise TypeError(f"{one!r} has no name.")
        return name

    return check


def listed(names: Iterable[str], last: str = "or") -> str:
    """Join names for a sentence: ``PNG, JPEG or TIFF``."""
    *before, end = names
    return f"{', '.join(before)} {last} {end}" if before else end
