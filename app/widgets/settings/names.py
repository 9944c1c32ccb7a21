"""What settings and their groups are called in the window; the names of the command line are in the tooltips."""

from __future__ import annotations

from typing import Any, Final

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

_CONTEXT: Final = "Settings"

GROUPS: Final[dict[str, Any]] = {
    "training": QT_TRANSLATE_NOOP("Settings", "Training"),
    "prediction": QT_TRANSLATE_NOOP("Settings", "Prediction"),
    "selection": QT_TRANSLATE_NOOP("Settings", "Choice of the cells"),
    "data": QT_TRANSLATE_NOOP("Settings", "Images"),
    "input": QT_TRANSLATE_NOOP("Settings", "Contrast"),
    "network": QT_TRANSLATE_NOOP("Settings", "Network"),
    "points": QT_TRANSLATE_NOOP("Settings", "Points"),
    "augmentation": QT_TRANSLATE_NOOP("Settings", "Random variation"),
    "loss": QT_TRANSLATE_NOOP("Settings", "Loss"),
    "environment": QT_TRANSLATE_NOOP("Settings", "Computer"),
    "switches": QT_TRANSLATE_NOOP("Settings", "Repairs of the published method"),
    "files": QT_TRANSLATE_NOOP("Settings", "Files"),
    "log": QT_TRANSLATE_NOOP("Settings", "Log"),
}

TITLES: Final[dict[str, Any]] = {
    "deterministic": QT_TRANSLATE_NOOP("Settings", "Repeatable"),
    "allow_tf32_on_matmul": QT_TRANSLATE_NOOP("Settings", "TF32 for matrices"),
    "allow_tf32_on_cudnn": QT_TRANSLATE_NOOP("Settings", "TF32 for convolutions"),
    "seed": QT_TRANSLATE_NOOP("Settings", "Seed"),
    "precision": QT_TRANSLATE_NOOP("Settings", "Precision"),
    "resize_size": QT_TRANSLATE_NOOP("Settings", "Resize images to"),
    "patch_size": QT_TRANSLATE_NOOP("Settings", "Training tile"),
    "sam_image_size": QT_TRANSLATE_NOOP("Settings", "Network input"),
    "train_id": QT_TRANSLATE_NOOP("Settings", "Images by number"),
    "duplicate_data": QT_TRANSLATE_NOOP("Settings", "Tiles per epoch"),
    "epoch_tiles": QT_TRANSLATE_NOOP("Settings", "Most tiles per epoch"),
    "input_rule": QT_TRANSLATE_NOOP("Settings", "Grey values"),
    "input_low": QT_TRANSLATE_NOOP("Settings", "Lower percentile"),
    "input_high": QT_TRANSLATE_NOOP("Settings", "Upper percentile"),
    "input_outliers": QT_TRANSLATE_NOOP("Settings", "Extreme pixels"),
    "input_range": QT_TRANSLATE_NOOP("Settings", "Black and white at"),
    "target_diameter": QT_TRANSLATE_NOOP("Settings", "Cell diameter"),
    "epoch_max": QT_TRANSLATE_NOOP("Settings", "Epochs"),
    "batch_size": QT_TRANSLATE_NOOP("Settings", "Tiles per step"),
    "gradient_accumulation_step": QT_TRANSLATE_NOOP("Settings", "Steps per update"),
    "base_lr": QT_TRANSLATE_NOOP("Settings", "Learning rate"),
    "backbone_lr": QT_TRANSLATE_NOOP("Settings", "Backbone learning rate"),
    "onecycle_lr_pct_start": QT_TRANSLATE_NOOP("Settings", "Warm-up"),
    "trained_share": QT_TRANSLATE_NOOP("Settings", "Share of the change kept"),
    "gradient_checkpointing": QT_TRANSLATE_NOOP("Settings", "Save memory"),
    "checkpoint_seconds": QT_TRANSLATE_NOOP("Settings", "Checkpoint every"),
    "image_encoder_lora_rank": QT_TRANSLATE_NOOP("Settings", "Encoder rank"),
    "mask_decoder_lora_rank": QT_TRANSLATE_NOOP("Settings", "Decoder rank"),
    "lora_dropout": QT_TRANSLATE_NOOP("Settings", "Dropout"),
    "freeze_image_encoder": QT_TRANSLATE_NOOP("Settings", "Freeze image encoder"),
    "freeze_prompt_encoder": QT_TRANSLATE_NOOP("Settings", "Freeze prompt encoder"),
    "freeze_mask_decoder_transformer": QT_TRANSLATE_NOOP("Settings", "Freeze transformer"),
    "freeze_upscaling_cnn": QT_TRANSLATE_NOOP("Settings", "Freeze upscaling"),
    "freeze_output_hypernetworks_mlps": QT_TRANSLATE_NOOP("Settings", "Freeze mask heads"),
    "freeze_mask_decoder_mask_tokens": QT_TRANSLATE_NOOP("Settings", "Freeze mask tokens"),
    "freeze_mask_decoder_iou": QT_TRANSLATE_NOOP("Settings", "Freeze score head"),
    "freeze_norms_and_biases": QT_TRANSLATE_NOOP("Settings", "Freeze norms and biases"),
    "pos_rate": QT_TRANSLATE_NOOP("Settings", "Cells with a point"),
    "neg_rate": QT_TRANSLATE_NOOP("Settings", "Background points"),
    "max_point_num": QT_TRANSLATE_NOOP("Settings", "Most points"),
    "edge_distance": QT_TRANSLATE_NOOP("Settings", "Border"),
    "neg_area_ratio_threshold": QT_TRANSLATE_NOOP("Settings", "Crowded tile"),
    "neg_area_threshold": QT_TRANSLATE_NOOP("Settings", "Background per point"),
    "min_cell_area": QT_TRANSLATE_NOOP("Settings", "Smallest cell"),
    "foreground_sample_area_ratio": QT_TRANSLATE_NOOP("Settings", "Inner part of a cell"),
    "background_sample_area_ratio": QT_TRANSLATE_NOOP("Settings", "Inner background"),
    "foreground_equal_prob": QT_TRANSLATE_NOOP("Settings", "Cell points anywhere"),
    "background_equal_prob": QT_TRANSLATE_NOOP("Settings", "Background points anywhere"),
    "data_augmentation": QT_TRANSLATE_NOOP("Settings", "Vary the tiles"),
    "bright_limit": QT_TRANSLATE_NOOP("Settings", "Brightness"),
    "contrast_limit": QT_TRANSLATE_NOOP("Settings", "Contrast"),
    "bright_prob": QT_TRANSLATE_NOOP("Settings", "How often brighter"),
    "flip_prob": QT_TRANSLATE_NOOP("Settings", "How often mirrored"),
    "rotate_prob": QT_TRANSLATE_NOOP("Settings", "How often rotated"),
    "scale_limit": QT_TRANSLATE_NOOP("Settings", "Scale"),
    "crop_prob": QT_TRANSLATE_NOOP("Settings", "How often enlarged"),
    "crop_scale": QT_TRANSLATE_NOOP("Settings", "Enlarged part"),
    "crop_ratio": QT_TRANSLATE_NOOP("Settings", "Its aspect ratio"),
    "ce_loss_weight": QT_TRANSLATE_NOOP("Settings", "Mask loss"),
    "crop_n_layers": QT_TRANSLATE_NOOP("Settings", "Crop layers"),
    "crop_n_points_downscale_factor": QT_TRANSLATE_NOOP("Settings", "Thin out deeper grids"),
    "points_per_side": QT_TRANSLATE_NOOP("Settings", "Grid points per side"),
    "points_per_batch": QT_TRANSLATE_NOOP("Settings", "Points at a time"),
    "max_mask_region_area_ratio": QT_TRANSLATE_NOOP("Settings", "Largest mask"),
    "min_mask_region_area": QT_TRANSLATE_NOOP("Settings", "Smallest hole or island"),
    "crop_nms_thresh": QT_TRANSLATE_NOOP("Settings", "Overlap"),
    "pred_iou_thresh": QT_TRANSLATE_NOOP("Settings", "Score"),
    "stability_score_thresh": QT_TRANSLATE_NOOP("Settings", "Stability"),
    "stability_score_offset": QT_TRANSLATE_NOOP("Settings", "Stability shift"),
    "view_plan": QT_TRANSLATE_NOOP("Settings", "Views"),
    "pyramid_window": QT_TRANSLATE_NOOP("Settings", "Pyramid window"),
    "tile_size": QT_TRANSLATE_NOOP("Settings", "Tile"),
    "tile_overlap": QT_TRANSLATE_NOOP("Settings", "Tile overlap"),
    "point_spacing": QT_TRANSLATE_NOOP("Settings", "Point spacing"),
    "image_scale": QT_TRANSLATE_NOOP("Settings", "Scale of images"),
    "prompt_rule": QT_TRANSLATE_NOOP("Settings", "Points asked"),
    "candidate_floor": QT_TRANSLATE_NOOP("Settings", "Keep proposals from"),
    "min_area": QT_TRANSLATE_NOOP("Settings", "Smallest cell"),
    "max_area": QT_TRANSLATE_NOOP("Settings", "Largest cell"),
    "track_gpu_memory": QT_TRANSLATE_NOOP("Settings", "Track GPU memory"),
    "schedule_length": QT_TRANSLATE_NOOP("Settings", "Schedule length"),
    "accumulation": QT_TRANSLATE_NOOP("Settings", "Equal weights"),
    "skipped_batch": QT_TRANSLATE_NOOP("Settings", "Empty batches"),
    "empty_tile": QT_TRANSLATE_NOOP("Settings", "Empty tiles"),
    "full_tile": QT_TRANSLATE_NOOP("Settings", "Full tiles"),
    "distance": QT_TRANSLATE_NOOP("Settings", "Distances"),
    "moved_points": QT_TRANSLATE_NOOP("Settings", "Moved points"),
    "resize_order": QT_TRANSLATE_NOOP("Settings", "Order of sides"),
    "duplicate_rule": QT_TRANSLATE_NOOP("Settings", "Repeated tiles"),
    "lora_dropout_place": QT_TRANSLATE_NOOP("Settings", "Place of dropout"),
    "tile_starts": QT_TRANSLATE_NOOP("Settings", "Similar tiles"),
    "second_nms": QT_TRANSLATE_NOOP("Settings", "Second duplicate search"),
    "box_overlap": QT_TRANSLATE_NOOP("Settings", "Thin masks"),
    "output_size": QT_TRANSLATE_NOOP("Settings", "Size of results"),
    "assemble": QT_TRANSLATE_NOOP("Settings", "One piece per cell"),
}

#: Values of choices that are not plain words.
_CHOICES: Final[dict[str, Any]] = {
    "upstream": QT_TRANSLATE_NOOP("Settings", "as published"),
    "repaired": QT_TRANSLATE_NOOP("Settings", "repaired"),
    "minmax": QT_TRANSLATE_NOOP("Settings", "full range"),
    "leave_out": QT_TRANSLATE_NOOP("Settings", "leave out"),
    "keep": QT_TRANSLATE_NOOP("Settings", "count every pixel"),
    "percentile": QT_TRANSLATE_NOOP("Settings", "percentiles"),
    "pyramid": QT_TRANSLATE_NOOP("Settings", "pyramid"),
    "tiles": QT_TRANSLATE_NOOP("Settings", "tiles"),
    "auto": QT_TRANSLATE_NOOP("Settings", "automatic"),
    "model": QT_TRANSLATE_NOOP("Settings", "as trained"),
    "sparing": QT_TRANSLATE_NOOP("Settings", "sparing"),
    "all": QT_TRANSLATE_NOOP("Settings", "all"),
    "own": QT_TRANSLATE_NOOP("Settings", "its own"),
}


def _tr(text: str) -> str:
    return QCoreApplication.translate(_CONTEXT, text)


def group_title(group: str) -> str:
    """Return what a group of settings is called."""
    return _tr(GROUPS.get(group, group.capitalize()))


def setting_title(name: str) -> str:
    """Return what a setting is called; one that is not in the table yet by its name."""
    return _tr(TITLES.get(name, name.replace("_", " ").capitalize()))


def choice_title(value: object) -> str:
    """Return what a choice is called."""
    return _tr(_CHOICES.get(str(value), str(value)))
