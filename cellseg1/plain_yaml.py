"""The safe subset of YAML for settings files and ``--set``: flat tables of plain values.

PyYAML's safe loader runs no code, but aliases let a small file take minutes and gigabytes, and its numbers follow
YAML 1.1, in which 010 is eight and 1:30 is ninety.  Here aliases, deep nesting and repeated names are refused, and
numbers are decimal, as in YAML 1.2.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

#: Largest settings file in bytes; usual ones have a few thousand.
MOST_BYTES = 200_000
#: Deepest nesting; no setting needs more than a table of lists.
_DEEPEST = 4
#: Most digits of a number.
_MOST_DIGITS = 1000
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Loader(yaml.SafeLoader):
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it holds aliases (*name), which settings do not need")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError("its lists go too deep")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.YAMLError(f"{key.value!r} stands in it twice")
                seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found

    def decimal(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))
        if len(text) > _MOST_DIGITS:
            raise yaml.YAMLError(f"it holds a number of {len(text)} digits")
        return int(text)


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag not in (*_NUMBERS, "tag:yaml.org,2002:timestamp")]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_NUMBERS[0], re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _NUMBERS[1],
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:[iI]nf|[nN]a[nN])$"),
    list("-+.0123456789"),
)
_Loader.add_constructor(_NUMBERS[0], _Loader.decimal)


def load(data: bytes) -> Any:
    """Read one document.

    Raises
    ------
    ValueError
        When it is too long, no YAML, or has forbidden content; the message is the reason without a full stop.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    try:
        return yaml.load(data.decode("utf-8-sig"), Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        lines = str(error).splitlines()
        raise ValueError(lines[0].rstrip(".") if lines else type(error).__name__) from error
    except (TypeError, LookupError, OverflowError, AttributeError) as error:
        # A value with a type of its own before it, as in "!!bool maybe".
        raise ValueError("it holds a value that is not what it is called") from error
