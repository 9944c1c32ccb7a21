"""NPY and NIfTI."""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
import math
from typing import Any, BinaryIO

import numpy as np

from cellseg1.errors import ImageError
from cellseg1.images.formats.decoded import Decoded, Samples, Source, check_dtype, check_size

_GZIP_RATIO = 1040
_MOST_AFTER = 2**24
"""Bytes behind the last value of a NIfTI that are unpacked to reach the checksum."""
_MICROMETRES = {"meter": 1e6, "mm": 1e3, "micron": 1.0}


class NpyReader:
    """Arrays as NumPy saves them."""

    name = "NPY"
    suffixes = (".npy",)
    stacks = True

    def recognises(self, head: bytes, *, zipped: bool) -> bool:
        """See `Reader`."""
        return not zipped and head.startswith(b"\x93NUMPY")

    def read(self, source: Source) -> Decoded:
        """Decode a NumPy array file; never unpickles."""
        version = np.lib.format.read_magic(source.stream)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ImageError(f"{source.path} is an NPY file of version {version}. Save a plain array of numbers.")
        try:
            shape, _, dtype = readers[version](source.stream)
        except (MemoryError, RecursionError) as error:
            # The header is a Python expression; its parser raises these for deeply nested brackets.
            raise source.damaged("its header is nested too deeply") from error
        check_dtype(source, dtype)
        if len(shape) < 2:
            raise ImageError(
                f"{source.path} holds an array of shape {shape}, not an image. Save at least rows and columns."
            )
        # The plane is known only after the axes are guessed; a trailing colour axis is not a side of the image.
        sides = shape[:-1] if len(shape) > 2 and shape[-1] <= 5 else shape
        left = source.size - source.stream.tell()
        check_size(source, shape, (sides[-2], sides[-1]), dtype.itemsize, left)
        source.stream.seek(0)
        array = np.load(source.stream, allow_pickle=False)
        return Decoded("NPY", array.astype(dtype.newbyteorder("="), copy=False))


def _read_to_the_end(source: Source, stream: gzip.GzipFile | BinaryIO) -> None:
    """Read up to the checksum of a gzip file; refuse a file that unpacks to much more than it declares."""
    left = _MOST_AFTER
    while left > 0:
        more = stream.read(min(left, 2**20))
        if not more:
            return
        left -= len(more)
    raise source.damaged("the NIfTI goes on behind its last value")


def _keep_from_terminal() -> None:
    """Send nibabel's remarks on headers to the log only; its own logger also writes to the terminal."""
    from nibabel import imageglobals

    for handler in list(imageglobals.logger.handlers):
        imageglobals.logger.removeHandler(handler)
    imageglobals.logger.addHandler(logging.NullHandler())


class NiftiReader:
    """NIfTI-1 and NIfTI-2."""

    name = "NIfTI"
    suffixes = (".nii", ".nii.gz")
    stacks = True

    def recognises(self, head: bytes, *, zipped: bool) -> bool:  # noqa: ARG002 - it may be either
        """See `Reader`."""
        return head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2")

    def read(self, source: Source) -> Decoded:
        """Decode a one-file NIfTI-1 or NIfTI-2, plain or gzipped; its first axis is x, as the format defines."""
        from nibabel.nifti1 import Nifti1Header, Nifti1Image
        from nibabel.nifti2 import Nifti2Header, Nifti2Image

        _keep_from_terminal()
        zipped = source.stream.read(2) == b"\x1f\x8b"
        source.stream.seek(0)
        with gzip.open(source.stream) if zipped else contextlib.nullcontext(source.stream) as stream:
            start = stream.read(540)
            second = int.from_bytes(start[:4], "little") == 540 or int.from_bytes(start[:4], "big") == 540
            header_type: Any = Nifti2Header if second else Nifti1Header
            image_type: Any = Nifti2Image if second else Nifti1Image
            if start[344:348] == b"ni1\0":
                raise ImageError(
                    f"{source.path} is one half of a NIfTI pair (.hdr and .img). Save it as one .nii file."
                )
            length = 540 if second else 348
            header = header_type.from_fileobj(io.BytesIO(start[:length]), check=False)
            shape = tuple(int(n) for n in header.get_data_shape())
            dtype = header.get_data_dtype()
            colour = dtype.names is not None and tuple(dtype.names[:3]) == ("R", "G", "B")
            if not colour:
                check_dtype(source, dtype)
            if not 2 <= len(shape) <= 5:
                raise ImageError(f"{source.path} is a NIfTI of {len(shape)} dimensions. Save 2 to 5.")
            plane = shape[1], shape[0]
            check_size(source, shape, plane, dtype.itemsize, source.size * (_GZIP_RATIO if zipped else 1), copies=2)
            if not colour and header.get_slope_inter() not in ((None, None), (1.0, 0.0)):
                check_size(source, shape, plane, 8)  # scaled values are floats
            first = int(header["vox_offset"])
            if 0 <= first < length:
                raise source.damaged("the values of the NIfTI would begin inside its header")
            needed = first + math.prod(shape) * dtype.itemsize
            if needed < 0 or needed > source.size * (_GZIP_RATIO if zipped else 1):
                raise source.damaged("the NIfTI ends before its last value")
            data = start + stream.read(max(0, needed - len(start)))
            if zipped:
                _read_to_the_end(source, stream)
        if len(data) < needed:
            raise source.damaged("the NIfTI ends before its last value")
        image = image_type.from_bytes(data[:needed])
        array = np.asanyarray(image.dataobj)
        axes = "XYZTC"[: len(shape)]
        samples: Samples = ""
        if colour and array.dtype.names is not None:
            samples = "rgba" if len(array.dtype.names) == 4 else "rgb"
            array = np.stack([array[name] for name in array.dtype.names], axis=-1)
            axes += "S"
        scale = _MICROMETRES.get(image.header.get_xyzt_units()[0])
        zooms = [float(zoom) for zoom in image.header.get_zooms()[:2]]
        known = scale and all(math.isfinite(zoom) and zoom > 0 for zoom in zooms)
        pixel_size = (zooms[1] * scale, zooms[0] * scale) if scale and known else None
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        return Decoded("NIfTI", array, axes, samples, pixel_size_um=pixel_size)
