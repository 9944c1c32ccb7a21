"""``cellseg1 model``: show or convert model files."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellseg1.commands.common import Commands, command, path_of, tell_result


def add(commands: Commands) -> None:
    """Add the command and its options."""
    group = commands.add_parser("model", help="Show or convert model files.")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    show = command(actions, "show", "Show the card of a .cs1 or .pth file.", _model_show)
    show.add_argument("file", type=path_of)
    convert = command(actions, "convert", "Convert between .cs1 and the published .pth format.", _model_convert)
    convert.add_argument("source", type=path_of)
    convert.add_argument("target", type=path_of)
    convert.add_argument("--backbone-file", type=path_of, help="weights of the backbone, instead of the installed ones")


def _model_show(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.lora import load_card

    path: Path = options.file
    if path.suffix.lower() in {".pth", ".pt"}:
        from cellseg1.lora import read_pth

        file = read_pth(path)
        values: dict[str, Any] = {
            "format": "published .pth",
            "backbone": file.backbone,
            "image_encoder_lora_rank": file.image_encoder_rank,
            "mask_decoder_lora_rank": file.mask_decoder_rank,
            "image_size": file.image_size,
            "image_size_known": file.image_size_known,
        }
    else:
        values = load_card(path).to_dict()
    text = "\n".join(
        f"{key}: {value}" for key, value in values.items() if key != "settings" and value not in ("", None)
    )
    tell_result(options, values, text)
    return 0


def _model_convert(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.errors import ModelFileError
    from cellseg1.model import load_model
    from cellseg1.training.plan import check_model_name
    from cellseg1.training.record import save_trained

    check_model_name(options.target)
    if options.target.exists():
        raise ModelFileError(f"{options.target} exists and is not replaced; give another name.")
    model = load_model(options.source, device="cpu", backbone_weights=options.backbone_file)
    try:
        save_trained(options.target, model.module, model.card, new=True)
    except FileExistsError as error:
        raise ModelFileError(f"{options.target} exists and is not replaced; give another name.") from error
    tell_result(options, {"model": str(options.target)}, f"Written: {options.target}")
    return 0
