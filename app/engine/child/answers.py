"""Requests that any engine answers besides its work.  Never imports Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellseg1.errors import ModelFileError

from ..messages import ExamineRequest, ImportModelRequest

if TYPE_CHECKING:
    from ..messages import Request


def answer(request: Request) -> dict[str, Any]:
    """Answer a request that needs no progress."""
    match request:
        case ExamineRequest():
            from cellseg1.doctor import examine

            return examine()
        case ImportModelRequest():
            return import_model(request)
    raise TypeError(f"An engine cannot do {type(request).__name__}.")


def import_model(request: ImportModelRequest) -> dict[str, Any]:
    """Check that a model fits its backbone, and write it in the format of the new name.

    Raises
    ------
    CellSeg1Error
        When it does not fit, or the new name is taken.
    """
    from cellseg1.model import load_model
    from cellseg1.training.plan import check_model_name
    from cellseg1.training.record import save_trained

    check_model_name(request.out)
    if request.out.exists():
        raise ModelFileError(f"{request.out} exists and is not replaced; give another name.")
    model = load_model(request.path, device="cpu", overrides=request.overrides)
    try:
        card = save_trained(request.out, model.module, model.card, new=True)
    except FileExistsError as error:
        raise ModelFileError(f"{request.out} exists and is not replaced; give another name.") from error
    return {"model": str(request.out), "card": card.to_dict()}
