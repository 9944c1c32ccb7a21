"""Reading the card of a ``.cs1`` file from its header alone.  Imports no torch."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import TYPE_CHECKING, Any

from cellseg1.errors import ModelFileError
from cellseg1.lora.card import Card
from cellseg1.regular import open_regular
from cellseg1.text import parse_json
from cellseg1.trouble import reading

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_KEY, CARD_KEY, HASH_KEY = "cellseg1_schema", "card", "tensors_sha256"
CARD_HASH_KEY = "card_sha256"
#: Largest header in bytes; a card with thousands of training images takes about a megabyte.
_MAX_HEADER = 16_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """The header of a model file: its card, the hash of its tensors (empty when absent), and their names."""

    card: Card
    tensors_sha256: str
    names: tuple[str, ...]


def load_card(path: Path) -> Card:
    """Return the card of a ``.cs1`` model; only the first kilobytes are read.

    Raises
    ------
    ModelFileError
        When it is not such a file, is cut short, or was written by a newer version.
    """
    return read_header(path).card


def read_header(path: Path) -> Header:
    """Read and check the header of a ``.cs1`` file (safetensors: length, JSON, tensor data); see `load_card`."""
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            raw = stream.read(length) if 2 <= length <= _MAX_HEADER else b""
    except OSError as error:
        raise ModelFileError(f"Cannot read the model {path}: {error.strerror or error}.") from error
    if raw[:1] != b"{":
        raise ModelFileError(f"{path} is not a CellSeg1 model, or it is damaged.")
    if len(raw) < length:
        raise ModelFileError(f"The model {path} is cut short; copy it again.")
    with reading(ModelFileError, f"The model {path} is damaged: its header cannot be read."):
        header = parse_json(raw)
        metadata = header.pop("__metadata__", {})
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    if 8 + length + end != size:
        raise ModelFileError(f"The model {path} is cut short or damaged; copy it again.")
    if not isinstance(metadata, dict) or SCHEMA_KEY not in metadata or CARD_KEY not in metadata:
        raise ModelFileError(f"{path} is a safetensors file but not a CellSeg1 model: it has no card.")
    return Header(_parse_card(path, metadata), str(metadata.get(HASH_KEY, "")), tuple(header))


def card_hash(text: str) -> str:
    """Return the checksum of a card's text, which is stored beside it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _parse_card(path: Path, metadata: dict[str, Any]) -> Card:
    with reading(ModelFileError, f"The card of the model {path} is damaged."):
        text = metadata[CARD_KEY]
        if CARD_HASH_KEY in metadata and metadata[CARD_HASH_KEY] != card_hash(text):
            raise ModelFileError(f"The card of the model {path} is damaged: it does not match its checksum.")
        values, schema = dict(parse_json(text)), int(metadata[SCHEMA_KEY])
        try:
            return Card.from_dict(values, schema)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from error
