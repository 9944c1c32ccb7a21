"""Registries of readers, backbones, writers and measurements, of this package and of other installed packages.

A package adds an object through an entry point; the command, the API and the window then list it::

    [project.entry-points."cellseg1.readers"]
    czi = "my_package.czi:CziReader"

The entry point names such an object, or a class or function without parameters that makes one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_log = logging.getLogger(__name__)
_Kind = TypeVar("_Kind")


class Registry(Generic[_Kind]):
    """The objects of one kind by name; entry points are searched on first use.

    Parameters
    ----------
    group
        Name of the entry-point group.
    own
        Returns the objects of this package, in the order of lists; called once.
    check
        Returns the name of an object, or raises `TypeError` for an object of another kind.
    """

    def __init__(self, group: str, own: Callable[[], Iterable[_Kind]], check: Callable[[object], str]) -> None:
        self.group = group
        self._own = own
        self._check = check
        self._known: dict[str, _Kind] | None = None

    @property
    def known(self) -> dict[str, _Kind]:
        """All objects by name, those of this package first.  One that cannot be loaded is logged and left out."""
        if self._known is None:
            import importlib.metadata

            found = {self._check(one): one for one in self._own()}
            for point in sorted(importlib.metadata.entry_points(group=self.group), key=lambda one: one.name):
                try:
                    loaded = point.load()
                    added: _Kind = loaded() if callable(loaded) else loaded
                    name = self._check(added)
                except Exception:  # noqa: BLE001 - a broken package must not stop the program
                    _log.warning("The entry point %s = %s cannot be used.", point.name, point.value, exc_info=True)
                    continue
                if name in found:
                    _log.warning("The entry point %s offers %s, which is there already.", point.value, name)
                else:
                    found[name] = added
            self._known = found
        return self._known

    def all(self) -> tuple[_Kind, ...]:
        """Return all objects, those of this package first."""
        return tuple(self.known.values())

    def names(self) -> tuple[str, ...]:
        """Return all names, those of this package first."""
        return tuple(self.known)

    def get(self, name: str) -> _Kind | None:
        """Return the object of this name, or None."""
        return self.known.get(name)

    def forget(self) -> None:
        """Forget the entry points, so that they are searched again after packages were installed or removed."""
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
