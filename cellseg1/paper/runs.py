"""The published studies as lists of runs: training images, settings and test set of each.

A run is one row of the results table.  Its id depends only on the inputs that decide its result, so that a run shared
by two studies is done once.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from cellseg1.errors import SettingsError
from cellseg1.paper.data_sets import DATA_SETS, FIVE, TISSUES
from cellseg1.settings import make_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cellseg1.settings import Settings

Study = Literal["robustness", "train_image_numbers", "vit_size", "batch_size", "generalization"]
STUDIES: Final[tuple[Study, ...]] = (
    "robustness",
    "train_image_numbers",
    "vit_size",
    "batch_size",
    "generalization",
)
#: The training images of the studies of backbones and batches.
CHOSEN_IMAGES: Final = {"CPS": 60, "CSB": 138, "ECB": 6, "BSF": 70, "DSB": 435}
BACKBONES: Final = ("vit_b", "vit_l", "vit_h")
#: Batch sizes with their gradient accumulation: always 32 tiles per update.
BATCHES: Final = ((1, 32), (2, 16), (4, 8))
_EPOCHS: Final = 300
_EPOCHS_OF_ALL: Final = 30
_EPOCHS_OF_ALL_IN: Final = {"ECB": 100}
#: Number of DSB images drawn in the published experiment, and the count it drew from, which is one too high.
_DRAWN, _DRAWN_FROM = 100, 448


@dataclass(frozen=True, slots=True)
class Run:
    """One training with its test.

    Attributes
    ----------
    data_set, test_set
        Short names of the training and the test set.
    train_ids
        Indices of the training images in sorted order; None for all.
    backbone, epochs, batch_size, accumulation, seed
        Named as in the settings.
    recipe
        ``paper``, or ``studio`` for ours.
    """

    data_set: str
    test_set: str
    train_ids: tuple[int, ...] | None
    backbone: str = "vit_h"
    epochs: int = _EPOCHS
    batch_size: int = 4
    accumulation: int = 8
    seed: int = 0
    recipe: str = "paper"

    @property
    def id(self) -> str:
        """Stable name: a readable part, and a hash of all fields.

        Examples
        --------
        >>> Run("CPS", "CPS", (60,)).id
        'CPS-60-vit_h-567f45b2'
        """
        return f"{self._label}-{_hash(asdict(self))}"

    @property
    def training_id(self) -> str:
        """Stable name of its training, shared by runs that differ only in the test set."""
        values = asdict(self)
        del values["test_set"]
        return f"{self._label}-{_hash(values)}"

    @property
    def _label(self) -> str:
        return f"{self.data_set}-{self.train_label}-{self.backbone}"

    @property
    def train_label(self) -> str:
        """Short label of its training images: ``60``, ``first5``, ``all``."""
        if self.train_ids is None:
            return "all"
        return str(self.train_ids[0]) if len(self.train_ids) == 1 else f"first{len(self.train_ids)}"

    def settings(self) -> Settings:
        """Return all settings of its training and prediction (`SettingsError` when they do not fit)."""
        overrides: dict[str, Any] = {
            "train_id": self.train_ids,
            "epoch_max": self.epochs,
            "batch_size": self.batch_size,
            "gradient_accumulation_step": self.accumulation,
            "seed": self.seed,
        }
        if self.recipe == "paper":
            overrides |= {"resize_size": DATA_SETS[self.data_set].resize, "patch_size": 256, "crop_n_layers": 1}
        return make_settings(self.recipe, self.backbone, overrides)


def _hash(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Choice:
    """The user's changes to the studies.

    Attributes
    ----------
    sets
        Short names of the data sets; empty for all of a study.
    recipe
        ``paper`` or ``studio``.
    backbone
        For every study but ``vit_size``.
    backbones
        Those that ``vit_size`` compares.
    epochs
        Number of epochs instead of the published ones; None: the published ones.
    seed
        Seed of all randomness.
    images
        Numbers of training images by short name, where they differ from the published ones.
    """

    sets: tuple[str, ...] = ()
    recipe: str = "paper"
    backbone: str = "vit_h"
    backbones: tuple[str, ...] = BACKBONES
    epochs: int | None = None
    seed: int = 0
    images: Mapping[str, int] | None = None

    def of(self, shorts: Iterable[str]) -> list[str]:
        """Return the chosen ones among some data sets."""
        return [short for short in shorts if not self.sets or short in self.sets]

    def count(self, short: str) -> int:
        """Return the number of training images of a data set (0 when unknown)."""
        published = DATA_SETS[short].published
        return (self.images or {}).get(short, published[0] if published else 0)

    def run(self, short: str, ids: tuple[int, ...] | None, **more: Any) -> Run:
        """Return a run of a data set, tested on itself unless `more` says otherwise."""
        epochs = _EPOCHS if ids is not None else _EPOCHS_OF_ALL_IN.get(short, _EPOCHS_OF_ALL)
        values = {"test_set": short, "backbone": self.backbone, **more}
        return Run(
            short,
            train_ids=ids,
            epochs=epochs if self.epochs is None else self.epochs,
            seed=self.seed,
            recipe=self.recipe,
            **values,
        )


def study_runs(study: Study, choice: Choice | None = None) -> list[Run]:
    """Return the runs of a study, in the order of execution.

    Parameters
    ----------
    study
        One of `STUDIES`.
    choice
        Differences from the published experiment.

    Raises
    ------
    SettingsError
        When the study or a chosen data set is unknown.

    Examples
    --------
    >>> len(study_runs("robustness"))
    427
    """
    choice = choice or Choice()
    if study not in _MAKERS:
        raise SettingsError(f"There is no study {study!r}; choose one of {', '.join(STUDIES)}.")
    unknown = [short for short in choice.sets if short not in DATA_SETS]
    if unknown:
        raise SettingsError(f"There is no data set {unknown[0]!r}; choose one of {', '.join(DATA_SETS)}.")
    return _MAKERS[study](choice)


def all_runs(studies: Sequence[Study] = STUDIES, choice: Choice | None = None) -> dict[Run, tuple[Study, ...]]:
    """Return the runs of several studies without duplicates, each with its studies."""
    found: dict[Run, tuple[Study, ...]] = {}
    for study in studies:
        for run in study_runs(study, choice):
            found[run] = (*found.get(run, ()), study)
    return found


def _robustness(choice: Choice) -> list[Run]:
    runs: list[Run] = []
    for short in choice.of(FIVE):
        ids = drawn_images() if short == "DSB" else list(range(choice.count(short)))
        runs.extend(choice.run(short, (one,)) for one in ids if one < choice.count(short))
    return runs


def drawn_images() -> list[int]:
    """Return the training images of DSB that the published robustness study drew, in ascending order."""
    # Reproduces a draw, so no cryptography; its own generator leaves the global one unchanged.
    return sorted(random.Random(0).sample(range(_DRAWN_FROM), _DRAWN))  # noqa: S311


def _train_image_numbers(choice: Choice) -> list[Run]:
    numbers = [
        choice.run(short, None if number is None else tuple(range(number)))
        for short in choice.of(FIVE)
        for number in (5, 10, None)
        if number is None or number <= choice.count(short)
    ]
    everything = [choice.run(short, None) for short in choice.of(["CPG"])]
    return [*numbers, *everything, *(choice.run(short, (0,)) for short in choice.of(TISSUES))]


def _chosen(choice: Choice) -> dict[str, tuple[int, ...]]:
    """Return one training image for each of the five sets; the last one where a smaller set has no such image."""
    return {short: (min(CHOSEN_IMAGES[short], max(choice.count(short) - 1, 0)),) for short in choice.of(FIVE)}


def _vit_size(choice: Choice) -> list[Run]:
    return [
        choice.run(short, ids, backbone=backbone)
        for short, ids in _chosen(choice).items()
        for backbone in choice.backbones
    ]


def _batch_size(choice: Choice) -> list[Run]:
    return [
        choice.run(short, ids, batch_size=size, accumulation=accumulation)
        for short, ids in _chosen(choice).items()
        for size, accumulation in BATCHES
    ]


def _generalization(choice: Choice) -> list[Run]:
    tissues = choice.of(TISSUES)
    matrix = [choice.run(short, (0,), test_set=other) for short in tissues for other in tissues]
    tested = choice.of((*FIVE, *TISSUES))
    return [*matrix, *(choice.run(short, None, test_set=other) for short in choice.of(["CPG"]) for other in tested)]


_MAKERS: Final[dict[str, Callable[[Choice], list[Run]]]] = {
    "robustness": _robustness,
    "train_image_numbers": _train_image_numbers,
    "vit_size": _vit_size,
    "batch_size": _batch_size,
    "generalization": _generalization,
}
