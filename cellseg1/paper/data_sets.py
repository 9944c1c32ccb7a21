"""The 20 data sets of the published experiments, and the archives that they come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from cellseg1.errors import SettingsError
from cellseg1.files import is_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

Split = Literal["train", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "test")
Source = Literal["cellpose", "neurips", "stardist", "ecoli", "subtilis", "tissuenet"]

#: Source of each archive.
ARCHIVES: Final[dict[str, str]] = {
    "train.zip": "the Cellpose data set, https://www.cellpose.org/dataset",
    "test.zip": "the Cellpose data set, https://www.cellpose.org/dataset",
    "Training-labeled.zip": "the NeurIPS Cell Segmentation Challenge, https://zenodo.org/records/10719375",
    "Tuning.zip": "the NeurIPS Cell Segmentation Challenge, https://zenodo.org/records/10719375",
    "dsb2018.zip": "release 0.1.0 of StarDist, https://github.com/stardist/stardist/releases/tag/0.1.0",
    "DeepBacs_Data_Segmentation_E.coli_Brightfield_dataset.zip": "DeepBacs, https://zenodo.org/records/5550935",
    "DeepBacs_Data_Segmentation_B.subtilis_FtsZ_dataset.zip": "DeepBacs, https://zenodo.org/records/5550968",
    "tissuenet_v1.1.zip": "TissueNet 1.1 of DeepCell (free account), https://datasets.deepcell.org",
}
_OF_SOURCE: Final[dict[Source, tuple[str, ...]]] = {
    "cellpose": ("train.zip", "test.zip"),
    "neurips": ("Training-labeled.zip", "Tuning.zip"),
    "stardist": ("dsb2018.zip",),
    "ecoli": ("DeepBacs_Data_Segmentation_E.coli_Brightfield_dataset.zip",),
    "subtilis": ("DeepBacs_Data_Segmentation_B.subtilis_FtsZ_dataset.zip",),
    "tissuenet": ("tissuenet_v1.1.zip",),
}


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set of the experiments.

    Attributes
    ----------
    short, name
        Name in figures (``CPS``), and name of its folder.
    source
        Where it comes from.
    resize
        Height and width in px to which the experiments bring every image, None for its own size.
    published
        Numbers of training and test images; None where they are not published.
    """

    short: str
    name: str
    source: Source
    resize: tuple[int, int] | None = None
    published: tuple[int, int] | None = None

    @property
    def archives(self) -> tuple[str, ...]:
        """Names of the archives of the data set."""
        return _OF_SOURCE[self.source]


#: Tissue and experiment of TSN-1 to TSN-14.
_TISSUES: Final = (
    "Breast_20191211_IMC",
    "Breast_20200116_DCIS",
    "Breast_20200526_COH_BC",
    "Epidermis_20200226_Melanoma",
    "Epidermis_20200623_sizun_epidermis",
    "GI_20191219_Eliot",
    "GI_20200219_Roshan",
    "GI_20200627_CODEX_CRC",
    "Lung_20200210_CyCIF_Lung_LN",
    "Lymph_Node_20200114_cHL",
    "Lymph_Node_20200520_HIV",
    "Pancreas_20200512_Travis_PDAC",
    "Pancreas_20200624_CODEX_Panc",
    "Tonsil_20200211_CyCIF_Tonsil",
)
_SIZE: Final = (512, 512)

#: All data sets by short name, in the order of the figures.
DATA_SETS: Final[dict[str, DataSet]] = {
    one.short: one
    for one in (
        DataSet("CPS", "cellpose_specialized", "cellpose", published=(89, 11)),
        DataSet("CSB", "cellseg_blood", "neurips", _SIZE, (139, 14)),
        DataSet("ECB", "deepbacs_rod_brightfield", "ecoli", _SIZE, (19, 15)),
        DataSet("BSF", "deepbacs_rod_fluorescence", "subtilis", _SIZE, (80, 10)),
        DataSet("DSB", "dsb2018_stardist", "stardist", published=(447, 50)),
        DataSet("CPG", "cellpose_generalized", "cellpose", published=(540, 68)),
        *(
            DataSet(f"TSN-{number}", f"tissuenet_{tissue}_nuclei", "tissuenet")
            for number, tissue in enumerate(_TISSUES, 1)
        ),
    )
}
#: The five sets of every study.
FIVE: Final = ("CPS", "CSB", "ECB", "BSF", "DSB")
#: The 14 groups of TissueNet.
TISSUES: Final = tuple(short for short in DATA_SETS if short.startswith("TSN"))

_BY_NAME: Final = {one.name: one for one in DATA_SETS.values()}


def data_set(name: str) -> DataSet:
    """Return a data set by its short name or the name of its folder, in any case.

    Raises
    ------
    SettingsError
        When there is none of that name.

    Examples
    --------
    >>> data_set("cps").name
    'cellpose_specialized'
    """
    wanted = name.strip().casefold()
    for one in DATA_SETS.values():
        if wanted in (one.short.casefold(), one.name.casefold()):
            return one
    raise SettingsError(f"There is no data set {name!r}; choose one of {', '.join(DATA_SETS)}.")


def chosen_sets(names: Iterable[str] = ()) -> list[DataSet]:
    """Return data sets by names, without duplicates, in the order of figures; TSN: its 14 groups; no name: all.

    Raises
    ------
    SettingsError
        When one of the names is unknown.
    """
    wanted = {
        one.short
        for name in names
        for one in ([DATA_SETS[short] for short in TISSUES] if name.strip().casefold() == "tsn" else [data_set(name)])
    }
    return [one for one in DATA_SETS.values() if not wanted or one.short in wanted]


def short_name(name: str) -> str:
    """Return the short name of a data set; an unknown name is returned unchanged."""
    known = _BY_NAME.get(name)
    return name if known is None else known.short


def images_in(folder: Path) -> list[Path]:
    """Return the files of a prepared folder in the order of the indices of training images.

    The order is that of plain sorting by name, as in the research code; hidden files and folders are left out.
    """
    if not is_folder(folder):
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_file() and not is_of_a_system(entry.name))
    return [folder / name for name in names]


def is_of_a_system(name: str) -> bool:
    """Tell whether a file or folder of this name is made by an operating system."""
    return name.startswith(".") or name.casefold() in {"__macosx", "thumbs.db", "desktop.ini"}
