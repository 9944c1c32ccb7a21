"""AP@0.5 with and without bars, hot and dead pixels, borders and debris in the image, by model and kind of image.

Not a test: ``python tests/bench/bench_disturbed.py --data TRANSFER --models FOLDER --out RESULTS`` trains one model for
each set of `bench_transfer` (run 0, undisturbed) unless FOLDER has it, and appends one line of JSON per set and
disturbance to RESULTS; lines that are there are skipped.  The images are taken as 16-bit pictures with an offset, as a
camera gives them.  Cells of which a quarter lies under a bar, a border or debris do not count, with and without it, nor
does what is found of their rest; ``clean`` is the AP of the undisturbed image on the same cells.  ``--crop`` predicts
the middle part of each image only, ``--images`` the first ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from bench_transfer import ap_of, protocol

from cellseg1.images.convert import scaled_input
from cellseg1.masks import write_label_image
from cellseg1.model import load_model
from cellseg1.prediction.plane import predict_pixels
from cellseg1.training.job import train

SETS = ("sample", "ecoli", "yeast", "sem")
OFFSET, GAIN, WHITE = 400, 12, 65535


def camera(picture):
    """8-bit values as a camera's: 16 bits, an offset, noise below the steps."""
    noise = np.random.default_rng(5).integers(0, GAIN, picture.shape)
    return (picture.astype(np.int64) * GAIN + OFFSET + noise).astype(np.uint16)


def bar(share, value=WHITE):
    def apply(image):
        height, width = image.shape[:2]
        length = min(width - 16, max(8, round((share * height * width * 6) ** 0.5)))
        thick = max(2, round(share * height * width / length))
        image[height - 8 - thick : height - 8, width - 8 - length : width - 8] = value
        return image

    return apply


def single(share=None, count=None, value=WHITE):
    def apply(image):
        rng = np.random.default_rng(11)
        number = count or round(share * image.shape[0] * image.shape[1])
        chosen = rng.choice(image.shape[0] * image.shape[1], number, replace=False)
        image.reshape(image.shape[0] * image.shape[1], -1)[chosen] = value
        return image

    return apply


def border(share):
    """Black on all sides of an image whose offset is many times its contrast."""

    def apply(image):
        image = image + np.uint16(20000)
        side = max(1, round(share * image.shape[0] * image.shape[1] / (2 * sum(image.shape[:2]))))
        inside = np.zeros(image.shape[:2], bool)
        inside[side:-side, side:-side] = True
        image[~inside] = 0
        return image

    return apply


def debris(image):
    """A round bright spot with a soft edge, six times as bright as the brightest cell."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    radius = (0.008 * height * width / np.pi) ** 0.5
    distance = np.hypot(rows - height * 0.3, columns - width * 0.7)
    soft = np.clip((radius - distance) / 3 + 0.5, 0, 1)
    grain = np.random.default_rng(3).uniform(0.8, 1.0, image.shape[:2])
    spot = soft * grain * 6.0 * (float(image.max()) - OFFSET)
    spot = spot if image.ndim == 2 else spot[..., np.newaxis]
    return np.clip(image + spot, 0, WHITE).astype(np.uint16)


def corner(image):
    """A saturated quarter of a circle in a corner."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    image[np.hypot(rows, columns - width + 1) < (4 * 0.02 * height * width / np.pi) ** 0.5] = WHITE
    return image


DISTURBANCES = {
    "clean": lambda image: image,
    "bar 0.15 %": bar(0.0015),
    "bar 3 %": bar(0.03),
    "dark bar 1 %": bar(0.01, 0),
    "70 hot pixels": single(count=70),
    "0.1 % hot pixels": single(share=0.001),
    "1 % hot pixels": single(share=0.01),
    "0.5 % dead pixels": single(share=0.005, value=0),
    "black border 3 %, offset 20000": border(0.03),
    "debris": debris,
    "saturated corner 2 %": corner,
}


def trained(which, options):
    """The model of a set, trained when there is none."""
    path = options.models / f"{which}.cs1"
    if not path.exists():
        (image, labels), _tests = protocol(which, options.data, None, 0)
        np.save(options.models / f"{which}.npy", image)
        write_label_image(options.models / f"{which}.tif", labels)
        files = [options.models / f"{which}.npy"], [options.models / f"{which}.tif"]
        train(*files, path, backbone="tiny", measure=False, device="cpu")
    return load_model(path, device="cpu")


def covered(image, disturbed):
    """Where something larger than a few pixels lies over the image."""
    if image.mean() + 10000 < disturbed.mean():  # a border came with an offset
        image = image + np.uint16(20000)
    changed = image != disturbed
    changed = changed if changed.ndim == 2 else changed.any(axis=2)
    _count, labels, stats, _middle = cv2.connectedComponentsWithStats(changed.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] > 20
    large[0] = False
    return large[labels]


def without_covered(labels, area):
    """Take the cells away of which more than a quarter is covered."""
    size = np.bincount(labels.ravel())
    hidden = np.bincount(labels[area], minlength=len(size))
    gone = hidden > size / 4
    return np.where(gone[labels], 0, labels).astype(np.int32)


def without_rests(found, hidden):
    """Take away what was found mostly on cells that are hidden themselves."""
    size = np.bincount(found.ravel())
    on = np.bincount(found[hidden], minlength=len(size))
    gone = on > size / 2
    return np.where(gone[found], 0, found).astype(np.int32)


def middle(array, side):
    if side is None:
        return array
    top, left = (max(0, (length - side) // 2) for length in array.shape[:2])
    return array[top : top + side, left : left + side]


def labels_in(model, rule, image):
    pixels, said = scaled_input(image, rule, colour=image.ndim == 3)
    return predict_pixels(model, pixels).labels, said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--crop", type=int)
    parser.add_argument("--images", type=int)
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--keep", action="store_true", help="count every pixel, for comparison")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.models.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(row["set"], row["disturbance"], row["keep"]) for row in rows}
    for which in options.sets:
        model = trained(which, options)
        if options.train_only:
            continue
        rule = dataclasses.replace(model.input.rule, outliers="keep" if options.keep else "leave_out")
        _training, tests = protocol(which, options.data, None, 0)
        clean = {}
        for name, disturb in DISTURBANCES.items():
            if (which, name, options.keep) in done:
                continue
            scores, before, notes = [], [], []
            for number, (picture, truth) in enumerate(tests[: options.images]):
                original = camera(middle(picture, options.crop))
                if number not in clean:
                    clean[number] = labels_in(model, rule, original)[0]
                image = disturb(original.copy())
                found, said = (clean[number], ()) if name == "clean" else labels_in(model, rule, image)
                area = covered(original, image)
                wanted = middle(truth, options.crop)
                kept = without_covered(wanted, area)
                hidden = (wanted > 0) & (kept == 0)
                scores.append(ap_of(kept, without_rests(without_covered(found, area), hidden)))
                before.append(ap_of(kept, without_rests(without_covered(clean[number], area), hidden)))
                notes.extend(said)
            row = {"set": which, "disturbance": name, "keep": options.keep, "ap": round(float(np.mean(scores)), 4)}
            row |= {"clean": round(float(np.mean(before)), 4), "each": [round(score, 3) for score in scores]}
            row["notes"] = notes
            with options.out.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            sys.stdout.write(f"{which} {name}: {row['ap']} (clean {row['clean']}) {notes[:1]}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
