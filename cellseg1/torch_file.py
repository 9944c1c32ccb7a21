"""Safe reading of files of torch.save: no code in them is run, and damage is found before use."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cellseg1.errors import ModelFileError
from cellseg1.memory import check_memory
from cellseg1.regular import open_regular
from cellseg1.trouble import reading


def read_torch_file(path: Path, what: str, advice: str = "copy it again") -> Any:
    """Read a file of torch.save to the CPU.

    Parameters
    ----------
    what, advice
        What the file should be, and what to do when it is damaged, for the error message.

    Raises
    ------
    ModelFileError
        When it is missing, damaged (torch itself ignores the checksums), or has content other than tensors and plain
        values; no code in it is run.
    """
    damaged = f"{path} cannot be read as {what}: it is damaged or cut short; {advice}."
    try:
        with open_regular(path) as stream:
            check_memory(os.fstat(stream.fileno()).st_size, str(path))
            data = stream.read()
    except OSError as error:
        raise ModelFileError(f"Cannot read {path}: {error.strerror or error}; check its name.") from error
    with reading(ModelFileError, damaged):
        if data[:2] == b"PK":
            _check_archive(data)
        try:
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if "global" in str(error).lower():
                raise ModelFileError(
                    f"{path} is refused: it holds program code, which could harm this computer. "
                    f"{what[0].upper()}{what[1:]} holds only numbers; ask whoever made it."
                ) from error
            raise ModelFileError(f"{path} is not {what}, or it is damaged; {advice}.") from error
        _check_tensors(content)
    return content


def _check_archive(data: bytes) -> None:
    """Compare every entry with its checksum; ValueError on damage, or when entries unpack to more than the file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > len(data):
            raise ValueError("it is packed, which torch.save does not do")
        broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"the checksum of {broken} is wrong")


def _check_tensors(content: Any) -> None:
    """Refuse tensors that repeat few stored values many times; they could fill the memory when copied."""
    waiting, seen = [content], 0
    while waiting:
        one = waiting.pop()
        seen += 1
        if seen > 1_000_000:
            raise ValueError("it holds too many values")
        if isinstance(one, Tensor):
            if one.device.type != "cpu" or one.layout != torch.strided:
                raise ValueError("it holds tensors of an unusual kind")
            if one.numel() * one.element_size() > one.untyped_storage().nbytes():
                raise ValueError("it holds a tensor that is larger than what is stored of it")
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)
