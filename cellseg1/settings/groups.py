"""The table of settings: name, type, default, range, unit and help of each in one row.

The names and the defaults are those of the published research code (arXiv 2412.01410), so its flat YAML files load.
The table also has the settings that the research code lacks.  The numbers T1 ... P7 are those of
docs/decisions/0004-two-recipes.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from cellseg1.errors import SettingsError
from cellseg1.sam.registry import ALIASES, backbone_names
from cellseg1.settings.rows import Group, group, row

Switch = Literal["upstream", "repaired"]


def backbone_choices() -> tuple[str, ...]:
    """Return the values of the setting `vit_name`: the names of all backbones and those of the research code."""
    return (*ALIASES, *reversed(backbone_names()))


def _ascending(value: tuple[float, float]) -> str:
    return "" if value[0] <= value[1] else "the first value must not exceed the second."


def _black_and_white(value: tuple[float, ...] | None) -> str:
    if value is None:
        return ""
    pairs = list(zip(value[::2], value[1::2], strict=False))
    if len(value) in (2, 4, 6) and all(low < high for low, high in pairs):
        return ""
    return (
        "give the values that become black and white, the lower first, once or for each of up to three channels, for "
        "example [100, 4000]."
    )


@group("environment", use="train")
class Environment(Group, frozen=True, kw_only=True):
    """Use of the computer."""

    deterministic: Annotated[bool, row("Give the same result for the same seed on the same computer.")] = True
    allow_tf32_on_matmul: Annotated[bool, row("Let NVIDIA GPUs multiply matrices in TF32.")] = True
    allow_tf32_on_cudnn: Annotated[bool, row("Let NVIDIA GPUs convolve in TF32.")] = True
    seed: Annotated[int, row("Seed of all randomness.", ge=0, le=2**63 - 1, advanced=False)] = 0
    precision: Annotated[
        Literal["float32", "auto"],
        row("float32, or bfloat16 autocast wherever the device computes it faster (auto).", use="both"),
    ] = "float32"


@group("files", use="nothing")
class Files(Group, frozen=True, kw_only=True):
    """Backbone and files, mostly for published settings files; jobs take files as options."""

    vit_name: Annotated[
        str,
        row(
            "Backbone: vit_h, vit_l, vit_b (Meta's SAM) or tiny (ours, bundled).",
            advanced=False,
            use="both",
            choices=backbone_choices,
        ),
    ] = "vit_h"
    model_path: Annotated[
        str | None, row("File of the backbone's weights, instead of the installed one.", use="both")
    ] = None
    data_dir: Annotated[str | None, row("Read for compatibility: files are named one by one.")] = None
    result_pth_path: Annotated[str | None, row("Read for compatibility: --out names the model.")] = None
    train_image_dir: Annotated[str | None, row("Folder of training images.")] = None
    train_mask_dir: Annotated[str | None, row("Folder of training masks.")] = None


@group("data", use="both")
class Data(Group, frozen=True, kw_only=True):
    """Images and tiles."""

    resize_size: Annotated[
        tuple[int, int] | None,
        row(
            "Resize every image to this size first; none keeps the image's own size.",
            le=16384,
            unit="px",
            zero_is_none=True,
        ),
    ] = (512, 512)
    patch_size: Annotated[
        int | None,
        row(
            "Side of the training tiles; none trains on whole images.",
            ge=16,
            le=16384,
            unit="px",
            use="train",
            zero_is_none=True,
        ),
    ] = 256
    sam_image_size: Annotated[
        int,
        row("Side of the square image the network sees, a multiple of 16.", ge=64, le=2048, unit="px", multiple_of=16),
    ] = 512
    train_id: Annotated[
        tuple[int, ...] | None, row("Which images of the sorted training folder to use; none uses all.", use="train")
    ] = (0, 1, 2, 3, 4)
    duplicate_data: Annotated[
        int, row("Repeat the tiles until one epoch has at least this many.", ge=0, le=100000, use="train")
    ] = 32
    target_diameter: Annotated[
        float | None,
        row(
            "Rescale images so that the median training cell has this diameter in the network's input; none keeps "
            "scale.",
            gt=4,
            le=256,
            unit="px",
        ),
    ] = None
    epoch_tiles: Annotated[
        int | None,
        row(
            "Most tiles per epoch, so that a large image does not train longer; none uses all.",
            ge=1,
            le=100000,
            use="train",
        ),
    ] = None


@group("input", use="both")
class Input(Group, frozen=True, kw_only=True):
    """Scaling of grey values."""

    input_rule: Annotated[
        Literal["minmax", "percentile"],
        row("What becomes black and white: the darkest and the brightest pixel, or two percentiles."),
    ] = "minmax"
    input_low: Annotated[float, row("With percentiles: so many of the pixels become black.", ge=0, le=50, unit="%")] = (
        0.1
    )
    input_high: Annotated[
        float,
        row("With percentiles: what is brighter than so many of the pixels becomes white.", ge=50, le=100, unit="%"),
    ] = 99.9
    input_outliers: Annotated[
        Literal["leave_out", "keep"],
        row(
            "Whether hot and dead pixels, scale bars, black borders and debris are left out when black and white "
            "are measured, or kept and count as any other pixel."
        ),
    ] = "keep"
    input_range: Annotated[
        tuple[float, ...] | None,
        row(
            "Grey values of the image that become black and white, for example 100, 4000; or such a pair for each "
            "channel that the network sees. none: they are measured.",
            check=_black_and_white,
        ),
    ] = None

    def check(self) -> None:
        """See `Group`."""
        if self.input_low >= self.input_high:
            raise SettingsError(
                f"The setting input_low ({self.input_low:g}) must be below input_high ({self.input_high:g})."
            )


@group("training", use="train")
class Training(Group, frozen=True, kw_only=True):
    """Optimisation."""

    epoch_max: Annotated[int, row("Number of epochs.", ge=1, le=100000, advanced=False)] = 300
    batch_size: Annotated[int, row("Tiles per step on the device.", ge=1, le=256)] = 4
    gradient_accumulation_step: Annotated[int, row("Batches per update of the weights.", ge=1, le=1024)] = 8
    base_lr: Annotated[float, row("Highest learning rate of the adapter.", gt=0, le=1)] = 0.003
    backbone_lr: Annotated[
        float, row("Highest learning rate of the backbone's own weights, where they are not frozen.", gt=0, le=1)
    ] = 0.0004
    onecycle_lr_pct_start: Annotated[float, row("Share of the training that warms up.", gt=0, le=0.99)] = 0.3
    trained_share: Annotated[
        float | None,
        row(
            "The finished model is the average of what the training began with (1 - this) and what it ended with "
            "(this); none chooses it by how well the network finds the cells of the training image before.",
            gt=0,
            le=1,
        ),
    ] = 1.0
    num_workers: Annotated[
        int, row("Read for compatibility; samples are made in the training process.", ge=0, use="nothing")
    ] = 4
    gradient_checkpointing: Annotated[
        bool, row("Recompute the encoder in the backward pass: less memory, about a third more time.")
    ] = False
    checkpoint_seconds: Annotated[float, row("Longest time between two checkpoints.", gt=0, le=3600, unit="s")] = 30.0


@group("network", use="train")
class Network(Group, frozen=True, kw_only=True):
    """Trained weights."""

    image_encoder_lora_rank: Annotated[int, row("LoRA rank in the image encoder; 0 for none.", ge=0, le=256)] = 4
    mask_decoder_lora_rank: Annotated[int, row("LoRA rank in the mask decoder; 0 for none.", ge=0, le=128)] = 4
    lora_dropout: Annotated[float, row("Dropout of the adapter during training.", ge=0, le=0.9)] = 0.1
    freeze_image_encoder: Annotated[bool, row("Keep the backbone's image encoder as it is.")] = True
    freeze_prompt_encoder: Annotated[bool, row("Keep the prompt encoder as it is.")] = True
    freeze_mask_decoder_transformer: Annotated[bool, row("Keep the decoder's transformer as it is.")] = True
    freeze_upscaling_cnn: Annotated[bool, row("Keep the decoder's upscaling layers as they are.")] = True
    freeze_output_hypernetworks_mlps: Annotated[bool, row("Keep the decoder's mask heads as they are.")] = True
    freeze_mask_decoder_mask_tokens: Annotated[bool, row("Keep the decoder's mask tokens as they are.")] = True
    freeze_mask_decoder_iou: Annotated[bool, row("Keep the decoder's score head as it is.")] = True
    freeze_norms_and_biases: Annotated[bool, row("Keep all normalisations and biases as they are.")] = True


@group("points", use="train")
class Points(Group, frozen=True, kw_only=True):
    """Positions of the prompts of a training step."""

    pos_rate: Annotated[float, row("Share of the cells that get a point.", ge=0, le=1)] = 1.0
    neg_rate: Annotated[float, row("Background points per cell.", ge=0, le=1)] = 0.5
    max_point_num: Annotated[int, row("Most points of each kind per tile.", ge=1, le=1000)] = 30
    edge_distance: Annotated[int, row("Cells wholly within this of the border are left out.", ge=1, unit="px")] = 20
    neg_area_ratio_threshold: Annotated[
        float, row("No background points where cells cover this many times the background.", gt=0)
    ] = 5.0
    neg_area_threshold: Annotated[float, row("Background per background point.", gt=0, unit="px²")] = 1000.0
    min_cell_area: Annotated[int, row("Smaller cells get no point.", ge=0, unit="px²")] = 100
    foreground_sample_area_ratio: Annotated[
        float, row("Innermost share of a cell in which its point lies.", gt=0, le=1)
    ] = 0.2
    background_sample_area_ratio: Annotated[
        float, row("Share of the background, farthest from cells, in which points lie.", gt=0, le=1)
    ] = 0.2
    foreground_equal_prob: Annotated[bool, row("Any of these places in a cell alike, not deeper ones first.")] = True
    background_equal_prob: Annotated[bool, row("Any of these places in the background alike.")] = True


@group("augmentation", use="train")
class Augmentation(Group, frozen=True, kw_only=True):
    """Random changes of the training tiles."""

    data_augmentation: Annotated[bool, row("Vary the training tiles at random.")] = True
    bright_limit: Annotated[float, row("Largest change of brightness.", ge=0, le=1)] = 0.1
    contrast_limit: Annotated[float, row("Largest change of contrast.", ge=0, le=1)] = 0.1
    bright_prob: Annotated[float, row("How often brightness and contrast change.", ge=0, le=1)] = 0.5
    flip_prob: Annotated[float, row("How often a tile is mirrored.", ge=0, le=1)] = 0.75
    rotate_prob: Annotated[float, row("How often a tile is shifted, scaled and rotated.", ge=0, le=1)] = 0.8
    scale_limit: Annotated[
        tuple[float, float], row("Range of the change of scale.", ge=-0.9, le=4, check=_ascending)
    ] = (-0.5, 0.5)
    crop_prob: Annotated[float, row("How often a part of the tile is enlarged.", ge=0, le=1)] = 0.5
    crop_scale: Annotated[tuple[float, float], row("Area of that part, as a share.", gt=0, le=1, check=_ascending)] = (
        0.3,
        1.0,
    )
    crop_ratio: Annotated[tuple[float, float], row("Its aspect ratio.", gt=0.1, le=10, check=_ascending)] = (
        0.75,
        1.3333,
    )


@group("loss", use="train")
class Loss(Group, frozen=True, kw_only=True):
    """The loss."""

    ce_loss_weight: Annotated[float, row("Weight of the mask loss against the score loss.", ge=0, le=1000)] = 1.0
    punish_background_point: Annotated[
        bool, row("Read for compatibility; the research code never used it.", use="nothing")
    ] = False


@group("prediction", use="predict")
class Prediction(Group, frozen=True, kw_only=True):
    """Prompts and crops of a prediction."""

    crop_n_layers: Annotated[int, row("Layers of enlarged crops beside the whole image.", ge=0, le=4)] = 1
    crop_n_points_downscale_factor: Annotated[int, row("Thinner point grids in deeper layers.", ge=1, le=8)] = 1
    points_per_side: Annotated[int, row("Points per side of the grid on each crop.", ge=1, le=256)] = 32
    points_per_batch: Annotated[int, row("Prompts decoded together.", ge=1, le=4096)] = 64
    view_plan: Annotated[
        Literal["pyramid", "tiles"],
        row("pyramid: the whole image and enlarged crops; tiles: overlapping windows at the trained scale."),
    ] = "pyramid"
    pyramid_window: Annotated[
        int | None,
        row(
            "Images more than half again as large are cut into overlapping windows of this side, each with its "
            "own pyramid; none never cuts.",
            ge=64,
            unit="px",
        ),
    ] = None
    tile_size: Annotated[
        int, row("Side of a window of the tiles plan, a multiple of 16.", ge=64, le=4096, unit="px", multiple_of=16)
    ] = 512
    tile_overlap: Annotated[int, row("How far neighbouring windows overlap.", ge=16, le=1024, unit="px")] = 128
    point_spacing: Annotated[float, row("Distance of grid points in the tiles plan.", ge=2, le=256, unit="px")] = 10.0
    image_scale: Annotated[
        Literal["model", "own"],
        row(
            "model = every image at the scale of the training; own = look again at the scale that fits the "
            "image's cells."
        ),
    ] = "model"
    prompt_rule: Annotated[
        Literal["all", "sparing"],
        row("all = every point of the grid is asked; sparing = of the background only every second."),
    ] = "all"
    candidate_floor: Annotated[
        float, row("Proposals of a lower score or stability are not kept with the run.", ge=0, le=1)
    ] = 0.3


@group("selection", use="predict")
class Selection(Group, frozen=True, kw_only=True):
    """Selection of proposals as cells."""

    max_mask_region_area_ratio: Annotated[
        float, row("Masks of at least this share of the image are dropped.", gt=0, le=1)
    ] = 0.1
    min_mask_region_area: Annotated[
        int, row("Smaller holes are filled, smaller islands dropped.", ge=0, unit="px²")
    ] = 20
    box_nms_thresh: Annotated[
        float, row("Read for compatibility: only crop_nms_thresh acts.", ge=0, le=1, use="nothing")
    ] = 0.05
    crop_nms_thresh: Annotated[
        float, row("Two masks that overlap more (IoU) are one cell.", ge=0, le=1, advanced=False)
    ] = 0.05
    pred_iou_thresh: Annotated[float, row("Lowest score of a cell.", ge=0, le=1, advanced=False)] = 0.8
    stability_score_thresh: Annotated[float, row("Lowest stability of a cell's edge.", ge=0, le=1, advanced=False)] = (
        0.6
    )
    stability_score_offset: Annotated[float, row("How far the edge is shifted to measure stability.", ge=0, le=10)] = (
        0.8
    )
    min_area: Annotated[int, row("Smaller cells are dropped from the result.", ge=0, unit="px²", advanced=False)] = 0
    max_area: Annotated[
        int | None, row("Larger cells are dropped; none for no limit.", ge=1, unit="px²", advanced=False)
    ] = None


@group("log", use="nothing")
class Log(Group, frozen=True, kw_only=True):
    """Output beside results, and labels of published runs."""

    track_gpu_memory: Annotated[bool, row("Write memory_stats.json (peak GPU memory per epoch) beside the model.")] = (
        False
    )
    method_name: Annotated[str | None, row("Label of a published run.")] = None
    dataset_name: Annotated[str | None, row("Label of a published run.")] = None
    train_num: Annotated[int | None, row("Label of a published run.")] = None
    result_dir: Annotated[str | None, row("Folder of a published run.")] = None
    selected_gpu: Annotated[str | int | None, row("Read for compatibility: the device is chosen by --device.")] = None
    image_paths: Annotated[str | None, row("Read for compatibility.")] = None
    output_dir: Annotated[str | None, row("Read for compatibility.")] = None


@group("switches", use="train")
class Switches(Group, frozen=True, kw_only=True):
    """One switch per defect of the research code that changes results."""

    schedule_length: Annotated[Switch, row("T1: a learning-rate schedule that ends with the training.")] = "upstream"
    accumulation: Annotated[Switch, row("T2: every tile of an update has the same weight.")] = "upstream"
    skipped_batch: Annotated[Switch, row("T3: a batch without points does not lose an update.")] = "upstream"
    empty_tile: Annotated[
        Switch, row("T4: a tile whose points all left the frame is used unchanged instead of lost.")
    ] = "upstream"
    full_tile: Annotated[Switch, row("T6: in a tile without background every cell stays a cell.")] = "upstream"
    distance: Annotated[Switch, row("T7: distances inside a cell are measured to its true edge.")] = "upstream"
    moved_points: Annotated[Switch, row("T8: points that land on another object are dropped.")] = "upstream"
    resize_order: Annotated[Switch, row("T9: resize_size is (height, width) in training too.")] = "upstream"
    duplicate_rule: Annotated[Switch, row("T11: duplicate_data is a number of tiles, not a factor.")] = "upstream"
    lora_dropout_place: Annotated[Switch, row("T17: dropout acts on the adapter only.")] = "upstream"
    tile_starts: Annotated[Switch, row("T12: no nearly identical tiles.")] = "upstream"
    second_nms: Annotated[Switch, row("P2: duplicates made by cleaning masks are removed.", use="predict")] = "upstream"
    box_overlap: Annotated[Switch, row("P3: masks one pixel wide can be duplicates too.", use="predict")] = "upstream"
    output_size: Annotated[Switch, row("P5: results have the size of the original image.", use="predict")] = "upstream"
    assemble: Annotated[Switch, row("P7: a cell keeps one piece and hides nothing beside it.", use="predict")] = (
        "upstream"
    )
