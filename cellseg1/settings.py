"""Every setting, declared once: name, type, default, range, unit, help.

The names and the defaults are those of the published research code (arXiv 2412.01410), so its flat YAML files load.
Settings that it does not have follow in the same table.  A *recipe* is a table of overrides: ``paper`` changes
nothing and gives the published results; ``studio`` repairs the defects of the research code, one switch for each
(the numbers T1 ... P7 are those of docs/decisions/0004-two-recipes.md) and is the default of the program.

Nothing here imports torch or Qt.  Only this module knows the names of the recipes.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union

from cellseg1.errors import SettingsError
from cellseg1.numbers import NumberError, read_number
from cellseg1.sam.registry import ALIASES, BACKBONES, backbone_names, canonical_name, get_kind

Switch = Literal["upstream", "repaired"]
#: What looks at a setting; nothing does at those that are read for compatibility.
Use = Literal["train", "predict", "both", "nothing"]

_USE_OF_GROUP: dict[str, Use] = {
    "environment": "train",
    "path": "nothing",
    "data": "both",
    "input": "both",
    "predict": "predict",
    "log": "nothing",
}
#: Where a setting has no upper limit of its own, this is it: no pixel, count or grey value is larger.
_HIGHEST, _HIGHEST_FLOAT = 2**31 - 1, 1e38


def _setting(
    default: Any,
    group: str,
    text: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    unit: str = "",
    advanced: bool = True,
    use: Use | None = None,
) -> Any:
    meta = {
        "group": group,
        "help": text,
        "ge": ge,
        "gt": gt,
        "le": le,
        "unit": unit,
        "advanced": advanced,
        "use": use or _USE_OF_GROUP.get(group, "train"),
    }
    return field(default=default, metadata=meta)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of training and prediction; immutable, validated when made (`SettingsError`)."""

    # ---- environment
    deterministic: bool = _setting(True, "environment", "Give the same result for the same seed on the same computer.")
    allow_tf32_on_matmul: bool = _setting(True, "environment", "Let NVIDIA GPUs multiply matrices in TF32.")
    allow_tf32_on_cudnn: bool = _setting(True, "environment", "Let NVIDIA GPUs convolve in TF32.")
    seed: int = _setting(0, "environment", "Seed of all randomness.", ge=0, le=2**63 - 1, advanced=False)
    precision: Literal["float32", "auto"] = _setting(
        "float32",
        "environment",
        "float32, or bfloat16 autocast wherever the device computes it faster (auto).",
        use="both",
    )

    # ---- paths (read from published YAML files; the command line and the window name files themselves)
    vit_name: str = _setting(
        "vit_h",
        "path",
        "Backbone: vit_h, vit_l, vit_b (Meta's SAM) or tiny (ours, bundled).",
        advanced=False,
        use="both",
    )
    model_path: str | None = _setting(
        None, "path", "File of the backbone's weights, instead of the installed one.", use="both"
    )
    data_dir: str | None = _setting(None, "path", "Read for compatibility: files are named one by one.")
    result_pth_path: str | None = _setting(None, "path", "Read for compatibility: --out names the model.")
    train_image_dir: str | None = _setting(None, "path", "Folder of training images.")
    train_mask_dir: str | None = _setting(None, "path", "Folder of training masks.")

    # ---- data
    resize_size: tuple[int, int] | None = _setting(
        (512, 512),
        "data",
        "Resize every image to this size first; none keeps the image's own size.",
        le=16384,
        unit="px",
    )
    patch_size: int | None = _setting(
        256, "data", "Side of the training tiles; none trains on whole images.", ge=16, le=16384, unit="px", use="train"
    )
    sam_image_size: int = _setting(
        512, "data", "Side of the square image the network sees, a multiple of 16.", ge=64, le=2048, unit="px"
    )
    train_id: tuple[int, ...] | None = _setting(
        (0, 1, 2, 3, 4), "data", "Which images of the sorted training folder to use; none uses all.", use="train"
    )
    duplicate_data: int = _setting(
        32, "data", "Repeat the tiles until one epoch has at least this many.", ge=0, le=100_000, use="train"
    )
    input_rule: Literal["minmax", "percentile"] = _setting(
        "minmax", "input", "What becomes black and white: the darkest and the brightest pixel, or two percentiles."
    )
    input_low: float = _setting(
        0.1, "input", "With percentiles: so many of the pixels become black.", ge=0, le=50, unit="%"
    )
    input_high: float = _setting(
        99.9,
        "input",
        "With percentiles: what is brighter than so many of the pixels becomes white.",
        ge=50,
        le=100,
        unit="%",
    )
    input_outliers: Literal["leave_out", "keep"] = _setting(
        "keep",
        "input",
        "Whether hot and dead pixels, scale bars, black borders and debris are left out when black and white are "
        "measured, or kept and count as any other pixel.",
    )
    input_range: tuple[float, ...] | None = _setting(
        None,
        "input",
        "Grey values of the image that become black and white, for example 100, 4000; or such a pair for each channel "
        "that the network sees. none: they are measured.",
    )
    target_diameter: float | None = _setting(
        None,
        "data",
        "Rescale images so that the median training cell has this diameter in the network's input; none keeps scale.",
        gt=4,
        le=256,
        unit="px",
    )

    epoch_tiles: int | None = _setting(
        None,
        "data",
        "Most tiles per epoch, so that a large image does not train longer; none uses all.",
        ge=1,
        le=100_000,
        use="train",
    )

    # ---- training
    epoch_max: int = _setting(300, "train", "Number of epochs.", ge=1, le=100_000, advanced=False)
    batch_size: int = _setting(4, "train", "Tiles per step on the device.", ge=1, le=256)
    gradient_accumulation_step: int = _setting(8, "train", "Batches per update of the weights.", ge=1, le=1024)
    base_lr: float = _setting(3e-3, "train", "Highest learning rate of the adapter.", gt=0, le=1)
    backbone_lr: float = _setting(
        4e-4, "train", "Highest learning rate of the backbone's own weights, where they are not frozen.", gt=0, le=1
    )
    onecycle_lr_pct_start: float = _setting(0.3, "train", "Share of the training that warms up.", gt=0, le=0.99)
    trained_share: float | None = _setting(
        1.0,
        "train",
        "The finished model is the average of what the training began with (1 - this) and what it ended with (this); "
        "none chooses it by how well the network finds the cells of the training image before.",
        gt=0,
        le=1,
    )
    num_workers: int = _setting(
        4, "train", "Read for compatibility; samples are made in the training process.", ge=0, use="nothing"
    )
    gradient_checkpointing: bool = _setting(
        False, "train", "Recompute the encoder in the backward pass: less memory, about a third more time."
    )
    checkpoint_seconds: float = _setting(
        30.0, "train", "Longest time between two checkpoints.", gt=0, le=3600, unit="s"
    )

    # ---- network
    image_encoder_lora_rank: int = _setting(4, "net", "LoRA rank in the image encoder; 0 for none.", ge=0, le=256)
    mask_decoder_lora_rank: int = _setting(4, "net", "LoRA rank in the mask decoder; 0 for none.", ge=0, le=128)
    lora_dropout: float = _setting(0.1, "net", "Dropout of the adapter during training.", ge=0, le=0.9)
    freeze_image_encoder: bool = _setting(True, "net", "Keep the backbone's image encoder as it is.")
    freeze_prompt_encoder: bool = _setting(True, "net", "Keep the prompt encoder as it is.")
    freeze_mask_decoder_transformer: bool = _setting(True, "net", "Keep the decoder's transformer as it is.")
    freeze_upscaling_cnn: bool = _setting(True, "net", "Keep the decoder's upscaling layers as they are.")
    freeze_output_hypernetworks_mlps: bool = _setting(True, "net", "Keep the decoder's mask heads as they are.")
    freeze_mask_decoder_mask_tokens: bool = _setting(True, "net", "Keep the decoder's mask tokens as they are.")
    freeze_mask_decoder_iou: bool = _setting(True, "net", "Keep the decoder's score head as it is.")
    freeze_norms_and_biases: bool = _setting(True, "net", "Keep all normalisations and biases as they are.")

    # ---- points
    pos_rate: float = _setting(1.0, "points", "Share of the cells that get a point.", ge=0, le=1)
    neg_rate: float = _setting(0.5, "points", "Background points per cell.", ge=0, le=1)
    max_point_num: int = _setting(30, "points", "Most points of each kind per tile.", ge=1, le=1000)
    edge_distance: int = _setting(20, "points", "Cells wholly within this of the border are left out.", ge=1, unit="px")
    neg_area_ratio_threshold: float = _setting(
        5.0, "points", "No background points where cells cover this many times the background.", gt=0
    )
    neg_area_threshold: float = _setting(1000.0, "points", "Background per background point.", gt=0, unit="px²")
    min_cell_area: int = _setting(100, "points", "Smaller cells get no point.", ge=0, unit="px²")
    foreground_sample_area_ratio: float = _setting(
        0.2, "points", "Innermost share of a cell in which its point lies.", gt=0, le=1
    )
    background_sample_area_ratio: float = _setting(
        0.2, "points", "Share of the background, farthest from cells, in which points lie.", gt=0, le=1
    )
    foreground_equal_prob: bool = _setting(
        True, "points", "Any of these places in a cell alike, not deeper ones first."
    )
    background_equal_prob: bool = _setting(True, "points", "Any of these places in the background alike.")

    # ---- augmentation
    data_augmentation: bool = _setting(True, "augment", "Vary the training tiles at random.")
    bright_limit: float = _setting(0.1, "augment", "Largest change of brightness.", ge=0, le=1)
    contrast_limit: float = _setting(0.1, "augment", "Largest change of contrast.", ge=0, le=1)
    bright_prob: float = _setting(0.5, "augment", "How often brightness and contrast change.", ge=0, le=1)
    flip_prob: float = _setting(0.75, "augment", "How often a tile is mirrored.", ge=0, le=1)
    rotate_prob: float = _setting(0.8, "augment", "How often a tile is shifted, scaled and rotated.", ge=0, le=1)
    scale_limit: tuple[float, float] = _setting((-0.5, 0.5), "augment", "Range of the change of scale.", ge=-0.9, le=4)
    crop_prob: float = _setting(0.5, "augment", "How often a part of the tile is enlarged.", ge=0, le=1)
    crop_scale: tuple[float, float] = _setting((0.3, 1.0), "augment", "Area of that part, as a share.", gt=0, le=1)
    crop_ratio: tuple[float, float] = _setting((0.75, 1.3333), "augment", "Its aspect ratio.", gt=0.1, le=10)

    # ---- loss
    ce_loss_weight: float = _setting(1.0, "loss", "Weight of the mask loss against the score loss.", ge=0, le=1000)
    punish_background_point: bool = _setting(
        False, "loss", "Read for compatibility; the research code never used it.", use="nothing"
    )

    # ---- prediction
    crop_n_layers: int = _setting(1, "predict", "Layers of enlarged crops beside the whole image.", ge=0, le=4)
    crop_n_points_downscale_factor: int = _setting(1, "predict", "Thinner point grids in deeper layers.", ge=1, le=8)
    points_per_side: int = _setting(32, "predict", "Points per side of the grid on each crop.", ge=1, le=256)
    points_per_batch: int = _setting(64, "predict", "Prompts decoded together.", ge=1, le=4096)
    max_mask_region_area_ratio: float = _setting(
        0.1, "predict", "Masks of at least this share of the image are dropped.", gt=0, le=1
    )
    min_mask_region_area: int = _setting(
        20, "predict", "Smaller holes are filled, smaller islands dropped.", ge=0, unit="px²"
    )
    box_nms_thresh: float = _setting(
        0.05, "predict", "Read for compatibility: only crop_nms_thresh acts.", ge=0, le=1, use="nothing"
    )
    crop_nms_thresh: float = _setting(
        0.05, "predict", "Two masks that overlap more (IoU) are one cell.", ge=0, le=1, advanced=False
    )
    pred_iou_thresh: float = _setting(0.8, "predict", "Lowest score of a cell.", ge=0, le=1, advanced=False)
    stability_score_thresh: float = _setting(
        0.6, "predict", "Lowest stability of a cell's edge.", ge=0, le=1, advanced=False
    )
    stability_score_offset: float = _setting(
        0.8, "predict", "How far the edge is shifted to measure stability.", ge=0, le=10
    )
    view_plan: Literal["pyramid", "tiles"] = _setting(
        "pyramid",
        "predict",
        "pyramid: the whole image and enlarged crops; tiles: overlapping windows at the trained scale.",
    )
    pyramid_window: int | None = _setting(
        None,
        "predict",
        "Images more than half again as large are cut into overlapping windows of this side, each with its own "
        "pyramid; none never cuts.",
        ge=64,
        unit="px",
    )
    tile_size: int = _setting(
        512, "predict", "Side of a window of the tiles plan, a multiple of 16.", ge=64, le=4096, unit="px"
    )
    tile_overlap: int = _setting(128, "predict", "How far neighbouring windows overlap.", ge=16, le=1024, unit="px")
    point_spacing: float = _setting(
        10.0, "predict", "Distance of grid points in the tiles plan.", ge=2, le=256, unit="px"
    )
    image_scale: Literal["model", "own"] = _setting(
        "model",
        "predict",
        "model = every image at the scale of the training; own = look again at the scale that fits the image's cells.",
    )
    prompt_rule: Literal["all", "sparing"] = _setting(
        "all",
        "predict",
        "all = every point of the grid is asked; sparing = of the background only every second.",
    )
    candidate_floor: float = _setting(
        0.3, "predict", "Proposals of a lower score or stability are not kept with the run.", ge=0, le=1
    )
    min_area: int = _setting(
        0, "predict", "Smaller cells are dropped from the result.", ge=0, unit="px²", advanced=False
    )
    max_area: int | None = _setting(
        None, "predict", "Larger cells are dropped; none for no limit.", ge=1, unit="px²", advanced=False
    )

    # ---- log
    track_gpu_memory: bool = _setting(
        False, "log", "Write memory_stats.json (peak GPU memory per epoch) beside the model."
    )
    method_name: str | None = _setting(None, "log", "Label of a published run.")
    dataset_name: str | None = _setting(None, "log", "Label of a published run.")
    train_num: int | None = _setting(None, "log", "Label of a published run.")
    result_dir: str | None = _setting(None, "log", "Folder of a published run.")
    selected_gpu: str | int | None = _setting(None, "log", "Read for compatibility: the device is chosen by --device.")
    image_paths: str | None = _setting(None, "log", "Read for compatibility.")
    output_dir: str | None = _setting(None, "log", "Read for compatibility.")

    # ---- switches: one per defect of the research code that changes results
    schedule_length: Switch = _setting(
        "upstream", "switches", "T1: a learning-rate schedule that ends with the training."
    )
    accumulation: Switch = _setting("upstream", "switches", "T2: every tile of an update has the same weight.")
    skipped_batch: Switch = _setting("upstream", "switches", "T3: a batch without points does not lose an update.")
    empty_tile: Switch = _setting(
        "upstream", "switches", "T4: a tile whose points all left the frame is used unchanged instead of lost."
    )
    full_tile: Switch = _setting("upstream", "switches", "T6: in a tile without background every cell stays a cell.")
    distance: Switch = _setting("upstream", "switches", "T7: distances inside a cell are measured to its true edge.")
    moved_points: Switch = _setting("upstream", "switches", "T8: points that land on another object are dropped.")
    resize_order: Switch = _setting("upstream", "switches", "T9: resize_size is (height, width) in training too.")
    duplicate_rule: Switch = _setting("upstream", "switches", "T11: duplicate_data is a number of tiles, not a factor.")
    lora_dropout_place: Switch = _setting("upstream", "switches", "T17: dropout acts on the adapter only.")
    tile_starts: Switch = _setting("upstream", "switches", "T12: no nearly identical tiles.")
    second_nms: Switch = _setting(
        "upstream", "switches", "P2: duplicates made by cleaning masks are removed.", use="predict"
    )
    box_overlap: Switch = _setting(
        "upstream", "switches", "P3: masks one pixel wide can be duplicates too.", use="predict"
    )
    output_size: Switch = _setting(
        "upstream", "switches", "P5: results have the size of the original image.", use="predict"
    )
    assemble: Switch = _setting(
        "upstream", "switches", "P7: a cell keeps one piece and hides nothing beside it.", use="predict"
    )

    def __post_init__(self) -> None:
        """Bring every value into its type and refuse what does not fit (`SettingsError`)."""
        for name in FIELDS:
            object.__setattr__(self, name, check_value(name, getattr(self, name)))
        if self.input_low >= self.input_high:
            raise SettingsError(
                f"The setting input_low ({self.input_low:g}) must be below input_high ({self.input_high:g})."
            )

    def to_dict(self) -> dict[str, Any]:
        """All values as plain JSON types."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }

    def replace(self, **changes: Any) -> Settings:
        """Return a copy with some values changed; validates them (`SettingsError`)."""
        return dataclasses.replace(self, **{key: check_value(key, value) for key, value in changes.items()})


FIELDS: dict[str, dataclasses.Field[Any]] = {item.name: item for item in dataclasses.fields(Settings)}
_TYPES: dict[str, Any] = typing.get_type_hints(Settings)

_SWITCHES = [name for name, item in FIELDS.items() if item.metadata["group"] == "switches"]

#: Overrides by recipe.
RECIPES: dict[str, dict[str, Any]] = {
    "paper": {},
    "studio": {
        **dict.fromkeys(_SWITCHES, "repaired"),
        "precision": "auto",
        "input_rule": "percentile",
        "input_outliers": "leave_out",
        "resize_size": None,
        "train_id": None,
        "pyramid_window": 512,
    },
}
DEFAULT_RECIPE = "studio"
DEFAULT_BACKBONE = "tiny"

#: Memory tiers of the published method (free GPU memory in GiB, first that fits): batch and accumulation.
#: Below 6 GiB the encoder is recomputed in the backward pass.
MEMORY_TIERS: tuple[tuple[float, str, dict[str, Any]], ...] = (
    (22.0, "24 GB", {"batch_size": 4, "gradient_accumulation_step": 8}),
    (12.0, "12 GB", {"batch_size": 2, "gradient_accumulation_step": 16}),
    (6.0, "8 GB", {"batch_size": 1, "gradient_accumulation_step": 32}),
    (0.0, "small", {"batch_size": 1, "gradient_accumulation_step": 32, "gradient_checkpointing": True}),
)
CPU_PRESET: dict[str, Any] = {"batch_size": 1, "gradient_accumulation_step": 32}


def memory_preset(free_gib: float | None, backbone: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the overrides of the preset for this much free GPU memory (GiB), None for the CPU.

    A backbone that fits into every memory keeps its own batch.
    """
    if get_kind(backbone).own_batch:
        return ("CPU" if free_gib is None else "GPU"), {}
    if free_gib is None:
        return "CPU", CPU_PRESET
    for least, name, values in MEMORY_TIERS:
        if free_gib >= least:
            return name, values
    raise AssertionError("the last tier begins at zero")


def make_settings(
    recipe: str = DEFAULT_RECIPE,
    backbone: str = DEFAULT_BACKBONE,
    overrides: Mapping[str, Any] | None = None,
    preset: Mapping[str, Any] | None = None,
) -> Settings:
    """Build settings: published defaults, then recipe, backbone, memory preset, and the user's own overrides.

    Raises
    ------
    SettingsError
        Unknown recipe or setting, a value out of its range, or a `vit_name` that is not the backbone.
    """
    if recipe not in RECIPES:
        raise SettingsError(f"There is no recipe {recipe!r}; choose one of {', '.join(RECIPES)}.")
    values: dict[str, Any] = dict(RECIPES[recipe])
    values.update(backbone_settings(recipe, backbone))
    values.update(preset or {})
    values.update(overrides or {})
    check_same_backbone(values.pop("vit_name", backbone), backbone)
    return Settings().replace(**values, vit_name=backbone)


def backbone_settings(recipe: str, backbone: str) -> Mapping[str, Any]:
    """Return the settings of a backbone that differ from those of the recipe."""
    kind = BACKBONES.get(backbone)
    return {} if kind is None else kind.settings.get(recipe, {})


def backbone_choices() -> tuple[str, ...]:
    """Return what the setting `vit_name` can be: the names of all backbones and those of the research code."""
    return (*ALIASES, *reversed(backbone_names()))


def check_same_backbone(wanted: Any, backbone: str) -> None:
    """Refuse the setting `vit_name` where another backbone is used (`SettingsError`)."""
    if canonical_name(check_value("vit_name", wanted)) != backbone:
        raise SettingsError(f"The setting vit_name is {wanted} but the backbone is {backbone}; give one of them only.")


def untrained_settings(backbone: str, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Build settings for a backbone that is used as it is; raises like `make_settings`."""
    return make_settings(backbone=backbone, overrides={**get_kind(backbone).untrained, **(overrides or {})})


def settings_from_dict(values: Mapping[str, Any]) -> Settings:
    """Build settings from `Settings.to_dict` output; keys of newer versions are ignored, missing ones are defaults."""
    return Settings().replace(**{key: value for key, value in values.items() if key in FIELDS})


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a published flat YAML file; every key is checked.

    Raises
    ------
    SettingsError
        When the file cannot be read, is not a flat table, or holds an unknown key or a wrong value.
    """
    from cellseg1 import plain_yaml

    try:
        if path.exists() and not path.is_file():
            raise SettingsError(f"The settings file {path} is not a file.")
        with path.open("rb") as stream:
            data = stream.read(plain_yaml.MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"Cannot read the settings file {path}: {error.strerror}. Check its name.") from error
    try:
        content = plain_yaml.load(data)
    except ValueError as error:
        raise SettingsError(f"The settings file {path} is not valid YAML: {error}.") from error
    if not isinstance(content, dict):
        raise SettingsError(f"The settings file {path} must hold lines of the form 'name: value'.")
    try:
        values = {str(key): check_value(str(key), value) for key, value in content.items()}
        Settings().replace(**values)
    except SettingsError as error:
        raise SettingsError(f"In {path}: {error}") from error
    return values


def parse_assignments(items: Iterable[str], use: Use | None = None) -> dict[str, Any]:
    """Read ``key=value`` texts as given with ``--set``; values are written as in YAML (none, true, [1, 2], 0.5).

    Parameters
    ----------
    use
        Refuse settings that do not act there: ``predict`` those of a training only, and the reverse.

    Raises
    ------
    SettingsError
        When a text has no ``=``, the setting is unknown, does nothing here, or its value does not fit.
    """
    from cellseg1 import plain_yaml

    values: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals:
            raise SettingsError(f"{_clipped(item)} is not a setting; write it as name=value.")
        try:
            value = None if text.strip().lower() == "none" else plain_yaml.load(text.encode("utf-8", "replace"))
        except ValueError:
            value = text
        name = key.strip()
        values[name] = check_value(name, value)
        if use is not None and not acts_in(name, use):
            where = "prediction" if use == "predict" else "training"
            raise SettingsError(f"The setting {name} does nothing in a {where}; leave it out.")
    return values


def acts_in(name: str, use: Use) -> bool:
    """Tell whether a training or a prediction looks at the setting `name`.

    A training looks at those of the prediction too: it measures its model on the training image.
    """
    used = FIELDS[name].metadata["use"]
    return used in {use, "both"} or (use == "train" and used == "predict")


def check_value(name: str, value: Any) -> Any:
    """Return `value` in the type of the setting `name`, checked against its range.

    Raises
    ------
    SettingsError
        One sentence: the setting, the value, and what is allowed.
    """
    if name not in FIELDS:
        import difflib

        near = difflib.get_close_matches(name[:_SHOWN], FIELDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; 'cellseg1 train --help' lists them."
        raise SettingsError(f"There is no setting {_clipped(name)}{hint}")
    meta = FIELDS[name].metadata
    if name in {"resize_size", "patch_size"} and _is_none_upstream(value):
        return None
    try:
        result = _convert(name, value, _TYPES[name])
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(_refusal(name, value, _TYPES[name])) from error
    for number in result if isinstance(result, tuple) else (result,):
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            _check_range(name, number, meta)
    _check_special(name, result)
    return result


def _is_none_upstream(value: Any) -> bool:
    """Tell whether the research code would take this size for "do not": any number of zero or less."""
    values = value if isinstance(value, (list, tuple)) and value else (value,)
    numbers = [item for item in values if isinstance(item, (int, float)) and not isinstance(item, bool)]
    return len(numbers) == len(values) and min(numbers) <= 0


def _check_range(name: str, number: float, meta: Mapping[str, Any]) -> None:
    ge, gt = meta["ge"], meta["gt"]
    le = meta["le"] if meta["le"] is not None else _HIGHEST if isinstance(number, int) else _HIGHEST_FLOAT
    finite = isinstance(number, int) or math.isfinite(number)
    bad = not finite or (ge is not None and number < ge) or (gt is not None and number <= gt) or number > le
    # Where no lowest value is given, zero and less were sorted out before, or any is allowed.
    if bad or number < -_HIGHEST_FLOAT:
        low = f"at least {_plain(ge)}" if ge is not None else f"above {_plain(gt)}" if gt is not None else ""
        high = f"at most {_plain(le)}" if number > le or meta["le"] is not None else ""
        allowed = " and ".join(part for part in (low, high) if part) or "a number"
        if not finite:
            allowed = "a finite number"
        raise SettingsError(f"The setting {name} cannot be {_plain(number)}: it must be {allowed}.")


def _plain(number: float) -> str:
    """Write a number as people do: whole ones with all digits, while there are not too many."""
    if not isinstance(number, int):
        return f"{number:g}"
    return str(number) if abs(number) < 10**20 else f"a number of more than {_digits(number)} digits"


def _digits(number: int) -> int:
    # Python refuses to write out numbers of thousands of digits.
    return int((abs(number).bit_length() - 1) * math.log10(2))


#: Characters of a wrong value that are shown.
_SHOWN = 80


def _clipped(value: Any) -> str:
    """Show a wrong value, but no more of it than fits into a sentence."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return _plain(value)
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a list with such a number in it, or one that goes too deep
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _check_special(name: str, value: Any) -> None:
    if name in {"sam_image_size", "tile_size"} and value % 16:
        raise SettingsError(f"The setting {name} cannot be {value}: it must be a multiple of 16.")
    if name == "input_range" and value is not None:
        pairs = list(zip(value[::2], value[1::2], strict=False))
        if len(value) not in (2, 4, 6) or any(low >= high for low, high in pairs):
            raise SettingsError(
                f"The setting input_range cannot be {list(value)}: give the values that become black and white, the "
                "lower first, once or for each of up to three channels, for example [100, 4000]."
            )
    if name == "vit_name" and value not in backbone_choices():
        choices = ", ".join(backbone_choices())
        raise SettingsError(f"The setting vit_name cannot be {_clipped(value)}: it must be one of {choices}.")
    if name in {"crop_scale", "crop_ratio", "scale_limit"} and value[0] > value[1]:
        raise SettingsError(f"The setting {name} cannot be {list(value)}: the first value must not exceed the second.")


def _convert(name: str, value: Any, wanted: Any) -> Any:
    origin = typing.get_origin(wanted)
    if origin in (Union, types.UnionType):
        return _convert_union(name, value, wanted)
    if origin is Literal:
        if value in typing.get_args(wanted):
            return value
        raise SettingsError(_refusal(name, value, wanted))
    if origin is tuple:
        return _convert_tuple(name, value, wanted)
    if wanted is bool and isinstance(value, bool):
        return value
    if wanted is int and _is_whole(value):
        return int(value)
    if wanted is float:
        # YAML reads 3e-3 as text; the published files write numbers that way.
        number = _as_float(name, value)
        if number is not None:
            return number
    if wanted is str and isinstance(value, (str, Path)):
        return str(value)
    raise SettingsError(_refusal(name, value, wanted))


def _convert_union(name: str, value: Any, wanted: Any) -> Any:
    options = typing.get_args(wanted)
    if value is None and type(None) in options:
        return None
    for option in options:
        if option is type(None):
            continue
        try:
            return _convert(name, value, option)
        except NumberError:  # it says more than that the value does not fit
            raise
        except SettingsError:
            continue
    raise SettingsError(_refusal(name, value, wanted))


def _convert_tuple(name: str, value: Any, wanted: Any) -> tuple[Any, ...]:
    inner = typing.get_args(wanted)
    if isinstance(value, (list, tuple)):
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_convert(name, item, inner[0]) for item in value)
        if len(value) == len(inner):
            return tuple(_convert(name, item, kind) for item, kind in zip(value, inner, strict=True))
    raise SettingsError(_refusal(name, value, wanted))


def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _as_float(name: str, value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return read_number(value) if isinstance(value, str) else float(value)
    except NumberError as error:
        if not error.readings:
            return None
        one, other = error.readings
        raise NumberError(
            f"The setting {name} cannot be {value!r}: it can mean {one} or {other}; write one of these.", error.readings
        ) from error
    except OverflowError:
        return math.inf


def _refusal(name: str, value: Any, wanted: Any) -> str:
    return f"The setting {name} cannot be {_clipped(value)}: it must be {describe_type(wanted)}."


def describe_type(wanted: Any) -> str:
    """Say in words what values a type annotation of `Settings` admits."""
    origin = typing.get_origin(wanted)
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(option) for option in typing.get_args(wanted))
    if origin is Literal:
        return "one of " + ", ".join(str(option) for option in typing.get_args(wanted))
    if origin is tuple:
        inner = typing.get_args(wanted)
        if inner[-1] is Ellipsis:
            return f"a list of {'whole numbers' if inner[0] is int else 'numbers'}"
        return f"a list of {len(inner)} {'whole numbers' if inner[0] is int else 'numbers'}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "none"}[wanted]


def help_table(groups: Iterable[str], settings: Settings | None = None, use: Use | None = None) -> str:
    """Describe the settings of some groups as indented text with defaults, ranges and units, for ``--help``.

    With `use` only those that act there.
    """
    import textwrap

    shown = settings or make_settings()
    lines: list[str] = []
    for group in groups:
        lines.append(f"{group}:")
        for name, item in FIELDS.items():
            if item.metadata["group"] != group or (use is not None and not acts_in(name, use)):
                continue
            value = getattr(shown, name)
            unit = f" {item.metadata['unit']}" if item.metadata["unit"] else ""
            text = f"{item.metadata['help']} [{_shown(value)}{unit}; {describe_type(_TYPES[name])}{_range_of(item)}]"
            lines.append(f"  {name}")
            lines.extend(textwrap.wrap(text, 96, initial_indent="      ", subsequent_indent="      "))
    return "\n".join(lines)


def _range_of(item: dataclasses.Field[Any]) -> str:
    bounds = ((">=", "ge"), (">", "gt"), ("<=", "le"))
    shown = [f"{sign} {_plain(item.metadata[key])}" for sign, key in bounds if item.metadata[key] is not None]
    return f", {' and '.join(shown)}" if shown else ""


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)
