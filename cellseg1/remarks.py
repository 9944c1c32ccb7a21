"""Sentences for people which programs can tell apart."""

from __future__ import annotations

from typing import Any, Self


class Remark(str):
    """A sentence about something that may be wrong, known by its `code` whatever its words are.

    It is the sentence itself, so it can be printed, joined and compared as any text; who decides something by it asks
    for the code, and who translates it fills `values` into the translation of `template`.

    Parameters
    ----------
    code
        What it says, for programs.
    template
        The English sentence with the names of `values` in braces.
    values
        What is filled in.

    Examples
    --------
    >>> remark = Remark("few_cells", "Only {n} cells are annotated.", n=3)
    >>> print(remark)
    Only 3 cells are annotated.
    >>> remark.code, remark.values
    ('few_cells', {'n': 3})
    """

    __slots__ = ("code", "template", "values")

    code: str
    template: str
    values: dict[str, Any]

    def __new__(cls, code: str, template: str, /, **values: Any) -> Self:
        """Fill the values into the sentence."""
        made = super().__new__(cls, template.format(**values))
        made.code, made.template, made.values = code, template, values
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str, str], dict[str, Any]]:
        """Return what another process makes it of."""
        return (self.code, self.template), self.values
