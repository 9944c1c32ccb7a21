"""The ``cellseg1`` command.

Exit codes: 0 done; 1 stopped by the user, what was done is kept; 2 refused, or some images could not be used, with
one sentence.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import logging.handlers
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

import platformdirs

from cellseg1._version import __version__
from cellseg1.errors import CellSeg1Error, SettingsError, StoppedError
from cellseg1.paper import command as paper
from cellseg1.plugins import listed
from cellseg1.sam.registry import backbone_names, fetched_specs
from cellseg1.settings import (
    DEFAULT_BACKBONE,
    DEFAULT_RECIPE,
    RECIPES,
    Use,
    help_table,
    load_yaml,
    parse_assignments,
)
from cellseg1.text import json_text, terminal_text
from cellseg1.trouble import explained, log_cause

if TYPE_CHECKING:
    from cellseg1.prediction.job import PredictProgress
    from cellseg1.training.trainer import TrainProgress

_TRAIN_GROUPS = (
    "environment",
    "data",
    "input",
    "training",
    "network",
    "points",
    "augmentation",
    "loss",
    "prediction",
    "selection",
    "log",
    "switches",
)
#: No computer has more cores, and systems refuse many more threads in a way that ends the program.
_MOST_THREADS = 1024
_PREDICT_GROUPS = ("environment", "data", "input", "prediction", "selection", "switches")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(argv)
    with _logging() as log_file:
        return _run(options, log_file)


def _run(options: argparse.Namespace, log_file: Path) -> int:
    try:
        with warnings.catch_warnings(), _stop_on_signals() as stop:
            # Libraries warn about their own internals; a user cannot act on that.
            warnings.simplefilter("ignore")
            return int(options.run(options, stop))
    except StoppedError as error:
        _error(str(error))
        return 1
    except CellSeg1Error as error:
        log_cause(error)
        _error(str(error))
        return 2
    except BrokenPipeError:
        return 1
    except OSError as error:
        logging.getLogger(__name__).info("A file could not be used", exc_info=error)
        where = "" if error.filename is None else f" {error.filename}"
        _error(f"Cannot use{where or ' a file'}: {error.strerror or error}. Check its name, or choose another.")
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets a sentence, and the log the rest
        _error(_unexpected(error, log_file))
        return 2


def _unexpected(error: Exception, log_file: Path) -> str:
    from cellseg1.memory import is_out_of_memory

    if isinstance(error, ImportError) and is_out_of_memory(error):
        return (
            "The memory that this process may use is not enough to load the program's libraries; raise its limit "
            "(ulimit -v unlimited), or close other programs."
        )
    if is_out_of_memory(error):
        return "The memory is not enough; close other programs, use smaller images, or --device cpu."
    return f"{explained(error, 'working on this command')} It is {log_file}."


class _Terminal(logging.StreamHandler[TextIO]):
    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out what has a traceback: it was told in a sentence already."""
        return not record.exc_info and super().filter(record) is not False


class _LogFile(logging.handlers.RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is of the logging module
        """A log that cannot be written is no reason to end, or to say anything."""


@contextlib.contextmanager
def _logging() -> Iterator[Path]:
    """Send warnings to the terminal, and everything, with tracebacks, to a file made when there is something for it."""
    path = Path(platformdirs.user_log_dir("CellSeg1", appauthor=False)) / "command.log"
    terminal = _Terminal(sys.stderr)
    terminal.setLevel(logging.WARNING)
    file = _LogFile(path, maxBytes=1_000_000, backupCount=1, encoding="utf-8", delay=True, errors="backslashreplace")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger("cellseg1")
    level = log.level
    log.setLevel(logging.INFO)
    for handler in (terminal, file):
        log.addHandler(handler)
    try:
        yield path
    finally:
        log.setLevel(level)
        for handler in (terminal, file):
            log.removeHandler(handler)
            handler.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cellseg1", description="Segment cells after training on one annotated image."
    )
    parser.add_argument("--version", action="version", version=f"cellseg1 {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_train(commands)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_model(commands)
    _add_backbone(commands)
    _add_doctor(commands)
    paper.add_to(commands)
    return parser


# ---- what the subcommands share

_Commands = Any  # argparse has no public name for the object that collects subcommands


def _command(
    commands: _Commands,
    name: str,
    text: str,
    run: Callable[[argparse.Namespace, Callable[[], bool]], int],
    groups: Sequence[str] = (),
    use: Use | None = None,
) -> argparse.ArgumentParser:
    epilog = f"Settings for --set NAME=VALUE (defaults of the {DEFAULT_RECIPE} recipe with {DEFAULT_BACKBONE}):\n\n"
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog + help_table(groups, use=use) if groups else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors and the result")
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting (repeatable)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads to use (default: all cores)")


def _number(text: str) -> float:
    from cellseg1.numbers import read_number

    try:
        return read_number(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _path(text: str) -> Path:
    # Path("") is the current folder, which nobody means by an empty name or an unset variable.
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)


def _use_threads(options: argparse.Namespace) -> None:
    if options.threads is not None and options.threads < 1:
        raise SettingsError(f"--threads cannot be {options.threads}: it must be at least 1.")
    if options.threads is not None and options.threads > _MOST_THREADS:
        raise SettingsError(f"--threads cannot be {options.threads}: it must be at most {_MOST_THREADS}.")
    from cellseg1.sam.device import quiet_cpu

    quiet_cpu(options.threads)


def _say(options: argparse.Namespace) -> Callable[[str], None]:
    def say(sentence: str) -> None:
        if not options.quiet:
            sys.stderr.write(f"{terminal_text(sentence)}\n")

    return say


def _error(sentence: str) -> None:
    sys.stderr.write(f"cellseg1: {terminal_text(sentence)}\n")


def _result(options: argparse.Namespace, values: Any, text: str) -> None:
    shown = json_text(values, indent=1) if options.json else terminal_text(text)
    with contextlib.suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    sys.stdout.write(f"{shown}\n")


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl+C (or a polite kill) came; a second Ctrl+C ends at once."""
    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        sys.stderr.write("\nStopping after the current step; what is done is kept.\n")

    previous: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # signals belong to the main thread; elsewhere there is nothing to catch
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Bar:
    """A progress bar on a terminal; silent elsewhere."""

    def __init__(self, options: argparse.Namespace, unit: str) -> None:
        self._bar: Any = None
        self._wanted = not options.quiet and sys.stderr.isatty()
        self._unit = unit

    def show(self, done: float, total: float, text: str) -> None:
        """Move to `done` of `total`."""
        if not self._wanted:
            return
        if self._bar is None:
            from tqdm import tqdm

            form = "{percentage:3.0f}%|{bar}| {desc}"
            self._bar = tqdm(total=total, unit=self._unit, bar_format=form, file=sys.stderr, leave=True)
        self._bar.total = total
        self._bar.n = done
        self._bar.set_description_str(text, refresh=True)

    def train(self, progress: TrainProgress) -> None:
        """Show a training's progress."""
        left = _duration(progress.seconds_left)
        text = f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.4f}, {left} left"
        self.show(progress.step, progress.steps, text)

    def predict(self, progress: PredictProgress) -> None:
        """Show a prediction's progress."""
        text = f"{progress.name}, {_duration(progress.seconds_left)} left"
        self.show(progress.index + progress.share, progress.count, text)

    def close(self) -> None:
        """Leave the line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


# ---- demo


def _add_demo(commands: _Commands) -> None:
    parser = _command(commands, "demo", "Do the main job on the sample project.", _demo)
    parser.add_argument("--out", type=_path, default=Path("cellseg1-demo"), help="folder of the results")
    _add_settings(parser)


def _demo(options: argparse.Namespace, stop: Callable[[], bool]) -> int:
    from cellseg1.demo import run_demo

    _use_threads(options)
    bar = _Bar(options, "step")
    try:
        result = run_demo(
            options.out,
            overrides=parse_assignments(options.set),
            device=options.device,
            train_progress=bar.train,
            stop=stop,
            say=_say(options),
        )
    finally:
        bar.close()
    text = f"{result.table()}\n\nTook {_duration(result.seconds)}. Label images and overlays: {result.folder}"
    _result(options, result.to_dict(), text)
    return 0


def _add_pieces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mask-pieces",
        choices=("auto", "split", "keep"),
        default="auto",
        help="separate pieces of one id or colour in a mask are separate cells (split) or one cell (keep); "
        "auto splits them where a few ids have many pieces, and says so (default: auto)",
    )


# ---- train


def _add_train(commands: _Commands) -> None:
    parser = _command(commands, "train", "Fine-tune a backbone on annotated images.", _train, _TRAIN_GROUPS)
    parser.add_argument("--image", type=_path, action="append", default=[], help="training image (repeatable)")
    parser.add_argument("--mask", type=_path, action="append", default=[], help="its mask, in the same order")
    parser.add_argument(
        "--region",
        action="append",
        default=[],
        metavar="MASK|X,Y,W,H",
        help="the fully annotated part of the image: a mask file, or x,y,width,height in pixels; one for each image",
    )
    _add_channels(parser)
    parser.add_argument(
        "--plane",
        action="append",
        default=[],
        metavar="z=N,t=N",
        help="the annotated plane of a stack, from 0 (default: the first); once for all images, or one for each",
    )
    _add_pieces(parser)
    parser.add_argument("--backbone", help=f"{listed(reversed(backbone_names()))} (default: {DEFAULT_BACKBONE})")
    parser.add_argument("--recipe", default=DEFAULT_RECIPE, help=f"{' or '.join(RECIPES)} (default: {DEFAULT_RECIPE})")
    parser.add_argument("--epochs", type=int, help="number of epochs (the setting epoch_max)")
    parser.add_argument("--config", type=_path, help="settings file of the research code (flat YAML)")
    parser.add_argument("--out", type=_path, required=True, help="the model file, NAME.cs1 or NAME.pth")
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted training of --out")
    _add_settings(parser)


def _add_channels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--channels",
        metavar="NAME|N,...",
        help="the channels that the network sees, one to three names or numbers from 0, such as DAPI,2; "
        "a name that holds a comma in double quotes: '\"DAPI, nuclei\",2'",
    )


def _training_planes(texts: Sequence[str], count: int) -> list[tuple[int, int] | None] | None:
    """Return (z, t) for each training image."""
    from cellseg1.images import PlaneChoice

    if not texts:
        return None
    if len(texts) not in (1, count):
        raise SettingsError(f"--plane is given {len(texts)} times for {count} images; give it once, or for each image.")
    choices = [PlaneChoice.parse(text) for text in texts]
    planes: list[tuple[int, int] | None] = [(one.z or 0, one.t or 0) for one in choices]
    return planes * count if len(planes) == 1 else planes


def _train(options: argparse.Namespace, stop: Callable[[], bool]) -> int:
    values = load_yaml(options.config) if options.config else {}
    if options.backbone:
        # The option counts, not the file; two options that contradict each other are refused.
        values.pop("vit_name", None)
    values.update(parse_assignments(options.set))
    if options.epochs is not None:
        values.update(parse_assignments([f"epoch_max={options.epochs}"]))
    images, masks = _training_files(options, values)
    backbone = options.backbone or values.pop("vit_name", DEFAULT_BACKBONE)
    regions = [_region(text) for text in options.region]

    from cellseg1.training.job import train

    _use_threads(options)
    bar = _Bar(options, "step")
    try:
        result = train(
            images,
            masks,
            options.out,
            regions=regions or None,
            backbone=backbone,
            recipe=options.recipe,
            overrides=values,
            device=options.device,
            resume=options.resume,
            planes=_training_planes(options.plane, len(images)),
            channels=options.channels,
            pieces=options.mask_pieces,
            progress=bar.train,
            stop=stop,
            say=_say(options),
        )
    finally:
        bar.close()
    outcome = result.outcome
    score = result.card.ap_training
    summary = {
        "model": str(result.path),
        "finished": outcome.finished,
        "steps": outcome.steps,
        "resumed_from": outcome.resumed_from,
        "seconds": round(outcome.seconds, 1),
        "loss": outcome.losses[-1] if outcome.losses else None,
        "ap_training": score,
        "notes": list(result.notes),
    }
    how = "Trained" if outcome.finished else f"Stopped after {outcome.epochs:.1f} epochs (resume with --resume)"
    ap = "" if score is None else f", AP@0.5 on the training image {score:.3f}"
    _result(options, summary, f"{how} in {_duration(outcome.seconds)}{ap}. Model: {result.path}")
    return 0 if outcome.finished else 1


def _training_files(options: argparse.Namespace, values: dict[str, Any]) -> tuple[list[Path], list[Path]]:
    """Files named on the command line, else those of the settings file's folders, chosen by train_id."""
    folders = values.get("train_image_dir"), values.get("train_mask_dir")
    if options.image or options.mask or None in folders:
        return options.image, options.mask
    from cellseg1.masks import list_images, list_masks, pair_by_name

    pairing = pair_by_name(list_images(str(folders[0])), list_masks(str(folders[1])))
    pairing.require_complete()
    chosen = values.get("train_id")
    pairs = pairing.pairs
    if chosen is not None:
        if max(chosen, default=0) >= len(pairs) or min(chosen, default=0) < 0:
            raise SettingsError(
                f"train_id {list(chosen)} does not fit: {folders[0]} has {len(pairs)} images, numbered from 0."
            )
        pairs = tuple(pairs[index] for index in chosen)
    return [image for image, _ in pairs], [mask for _, mask in pairs]


def _region(text: str) -> tuple[int, int, int, int] | Path:
    parts = text.split(",")
    if len(parts) == 4:
        with contextlib.suppress(ValueError):
            x, y, width, height = (int(part) for part in parts)
            return x, y, width, height
    path = Path(text)
    if not text.strip() or not path.exists():
        raise SettingsError(f"The region {text!r} is neither a file nor x,y,width,height in whole pixels.")
    return path


# ---- predict


def _add_predict(commands: _Commands) -> None:
    parser = _command(commands, "predict", "Segment images with a trained model.", _predict, _PREDICT_GROUPS, "predict")
    parser.add_argument("--model", type=_path, required=True, help="a .cs1 model or a published .pth adapter")
    parser.add_argument("--out", type=_path, required=True, help="folder of the results")
    _add_channels(parser)
    parser.add_argument(
        "--plane", metavar="z=N,t=N", help="segment this plane of a stack, numbered from 0 (default: all planes)"
    )
    parser.add_argument(
        "--format",
        type=_label_format,
        default=".png",
        metavar="NAME",
        help="of the label images: png, tif, or what other packages add (default: png)",
    )
    parser.add_argument("--no-overlays", action="store_true", help="write no overlay pictures")
    parser.add_argument("--no-candidates", action="store_true", help="do not keep the proposals with the run")
    parser.add_argument("--no-adapter", action="store_true", help="use the plain backbone, for comparison")
    parser.add_argument("--backbone-file", type=_path, help="weights of the backbone, instead of the installed ones")
    parser.add_argument("inputs", type=_path, nargs="+", metavar="IMAGE_OR_FOLDER")
    _add_settings(parser)


def _label_format(name: str) -> str:
    """Return the suffix of a format for label images."""
    from cellseg1.masks.writers import WRITERS
    from cellseg1.plugins import listed

    writer = WRITERS.get(name.removeprefix("."))
    if writer is None:
        raise argparse.ArgumentTypeError(f"there is no format {name!r}: choose {listed(WRITERS.names())}")
    return writer.suffixes[0]


def _predict(options: argparse.Namespace, stop: Callable[[], bool]) -> int:
    overrides = parse_assignments(options.set, "predict")

    from cellseg1.images import PlaneChoice, parse_channels
    from cellseg1.model import load_model
    from cellseg1.prediction.inputs import collect_inputs
    from cellseg1.prediction.job import predict

    if options.channels is not None:
        parse_channels(options.channels)
    PlaneChoice.parse(options.plane)
    collect_inputs(options.inputs)  # a wrong name is told before a backbone of gigabytes is read
    _use_threads(options)
    model = load_model(
        options.model, device=options.device, overrides=overrides, backbone_weights=options.backbone_file
    )
    if options.no_adapter:
        model.set_adapter(enabled=False)
    bar = _Bar(options, "image")
    try:
        result = predict(
            model,
            options.inputs,
            options.out,
            progress=bar.predict,
            stop=stop,
            say=_say(options),
            overlays=not options.no_overlays,
            keep_candidates=not options.no_candidates,
            suffix=options.format,
            channels=options.channels,
            plane=options.plane,
        )
    finally:
        bar.close()
    values = {
        "folder": str(result.folder),
        "stopped": result.stopped,
        "images": [
            {"image": plane.image, "labels": plane.labels, "cells": plane.cells, "error": plane.error}
            for plane in result.planes
        ],
    }
    lines = [
        f"{plane.image}: {plane.error}" if plane.error else f"{plane.image}: {plane.cells} cells"
        for plane in result.planes
    ]
    _result(options, values, "\n".join([*lines, f"Results: {result.folder}"]))
    if result.failures:
        bad, count = len(result.failures), len(result.planes)
        reasons = " ".join(plane.error for plane in result.failures[:3])
        more = "" if len(result.failures) <= 3 else f" Further ones are listed in {result.folder / 'run.json'}."
        rest = "the others are done" if bad < count else "so there is no result"
        _error(f"{bad} of {count} images could not be segmented, {rest}: {reasons}{more}")
        return 2
    return 1 if result.stopped else 0


# ---- evaluate


def _add_evaluate(commands: _Commands) -> None:
    parser = _command(commands, "evaluate", "Compare predicted label images with the truth.", _evaluate)
    parser.add_argument("--truth", type=_path, required=True, help="folder of true label images")
    parser.add_argument("--pred", type=_path, required=True, help="folder of predicted label images")
    _add_pieces(parser)
    parser.add_argument("--resize-truth", action="store_true", help="bring the truth to the size of the prediction")
    parser.add_argument("--threshold", type=_number, action="append", help="IoU threshold of the AP (repeatable)")
    parser.add_argument("--csv", type=_path, help="also write a table")


def _evaluate(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.evaluation import DEFAULT_THRESHOLDS
    from cellseg1.evaluation.job import evaluate
    from cellseg1.files import check_replaceable, check_writable

    if options.csv:
        check_replaceable(options.csv)
        check_writable(options.csv.absolute().parent)
    report = evaluate(
        options.truth,
        options.pred,
        thresholds=options.threshold or DEFAULT_THRESHOLDS,
        resize_truth=options.resize_truth,
        say=_say(options),
        pieces=options.mask_pieces,
    )
    if options.csv:
        report.to_csv(options.csv)
    values = report.to_dict()
    lines = [f"AP@{name}  {value:.4f}" for name, value in values["ap"].items()]
    lines += [f"{name:<8}{values[name]:.4f}" for name in ("precision", "recall", "f1", "pq", "seg")]
    _result(options, values, "\n".join([*lines, f"Mean of {len(values['images'])} image(s)."]))
    return 0


# ---- model


def _add_model(commands: _Commands) -> None:
    group = commands.add_parser("model", help="Show or convert model files.")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    show = _command(actions, "show", "Show the card of a .cs1 or .pth file.", _model_show)
    show.add_argument("file", type=_path)
    convert = _command(actions, "convert", "Convert between .cs1 and the published .pth format.", _model_convert)
    convert.add_argument("source", type=_path)
    convert.add_argument("target", type=_path)
    convert.add_argument("--backbone-file", type=_path, help="weights of the backbone, instead of the installed ones")


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
    _result(options, values, text)
    return 0


def _model_convert(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.errors import ModelFileError
    from cellseg1.model import load_model
    from cellseg1.training.job import check_model_name, save_trained

    check_model_name(options.target)
    if options.target.exists():
        raise ModelFileError(f"{options.target} exists and is not replaced; give another name.")
    model = load_model(options.source, device="cpu", backbone_weights=options.backbone_file)
    try:
        save_trained(options.target, model.module, model.card, new=True)
    except FileExistsError as error:
        raise ModelFileError(f"{options.target} exists and is not replaced; give another name.") from error
    _result(options, {"model": str(options.target)}, f"Written: {options.target}")
    return 0


# ---- backbone


def _add_backbone(commands: _Commands) -> None:
    group = commands.add_parser("backbone", help="List, import or download backbones.")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    _command(actions, "list", "List the backbones and which are installed.", _backbone_list)
    take = _command(actions, "import", "Copy a SAM weights file that you have into the data folder.", _backbone_import)
    take.add_argument("file", type=_path)
    load = _command(actions, "download", "Download SAM weights (resumable, verified).", _backbone_download)
    load.add_argument("name", help=listed(spec.name for spec in fetched_specs()))


def _backbone_list(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.sam.store import list_backbones

    values = [
        {
            "name": status.name,
            "installed": status.installed,
            "usable": status.usable,
            "path": None if status.path is None else str(status.path),
            "size_bytes": status.size_bytes,
            "problem": status.problem,
        }
        for status in list_backbones()
    ]
    lines = [f"{v['name']:<8}{v['path'] if v['usable'] else v['problem'] or 'not installed'}" for v in values]
    _result(options, values, "\n".join(lines))
    return 0


def _backbone_import(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.sam.store import import_file

    name = import_file(options.file)
    _result(options, {"name": name}, f"Imported: {name}")
    return 0


def _backbone_download(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.sam.fetch import download

    bar = _Bar(options, "B")
    try:
        path = download(
            options.name, lambda done, total: bar.show(done, total, f"{done / 1e6:.0f} of {total / 1e6:.0f} MB")
        )
    finally:
        bar.close()
    _result(options, {"name": options.name, "path": str(path)}, f"Downloaded and verified: {path}")
    return 0


# ---- doctor


def _add_doctor(commands: _Commands) -> None:
    _command(commands, "doctor", "Tell what this computer can do, and why something is not used.", _doctor)


def _doctor(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.doctor import describe, examine

    report = examine()
    _result(options, report, describe(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
