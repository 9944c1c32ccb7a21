"""Sentences for users with a code for programs."""

from __future__ import annotations

from typing import Any, Self


class Remark(str):
    """A sentence about a possible problem, identified by its `code` independently of the wording.

    It is a `str`, so it can be printed, joined and compared.  Logic uses the code; a translation fills `values` into
    the translated `template`.

    Parameters
    ----------
    code
        Identifier of the kind of remark.
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
        """Return the arguments for unpickling."""
        return (self.code, self.template), self.values
