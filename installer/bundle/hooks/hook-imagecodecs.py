"""imagecodecs imports its codecs at their first use and by name, so that PyInstaller does not see them.

Collected are the codecs that occur in TIFF files and pictures; formats of other fields (HDF5, zarr, video, textures)
are never asked for and would be another 40 MB.
"""

from PyInstaller.utils.hooks import collect_submodules

_CODECS = {
    "ccitt",
    "deflate",
    "imcd",
    "jpeg2k",
    "jpeg8",
    "jpegls",
    "jpegsof3",
    "jpegxl",
    "jpegxr",
    "lerc",
    "ljpeg",
    "lzma",
    "pixarlog",
    "png",
    "shared",
    "shared_cython",
    "webp",
    "zlib",
    "zlibng",
    "zstd",
}

hiddenimports = [
    name for name in collect_submodules("imagecodecs") if name.rpartition("._")[2] in _CODECS or "._" not in name
]
