"""Miniature archives with the publishers' layouts; every image is 64 px wide and not square where the format allows."""

import io
import zipfile

import numpy as np
import tifffile
from PIL import Image

from cellseg1.paper.data_sets import DATA_SETS, images_in

HEIGHT, WIDTH = 48, 64
TISSUES = {
    "20191211_IMC": "Breast",
    "20200116_DCIS": "Breast",
    "20200526_COH_BC": "Breast",
    "20200226_Melanoma": "Epidermis",
    "20200623_sizun_epidermis": "Epidermis",
    "20191219_Eliot": "GI",
    "20200219_Roshan": "GI",
    "20200627_CODEX_CRC": "GI",
    "20200210_CyCIF_Lung_LN": "Lung",
    "20200114_cHL": "Lymph Node",
    "20200520_HIV": "Lymph Node",
    "20200512_Travis_PDAC": "Pancreas",
    "20200624_CODEX_Panc": "Pancreas",
    "20200211_CyCIF_Tonsil": "Tonsil",
}


def labels(number, height=HEIGHT, width=WIDTH):
    """Between one and three rectangles, with ids that have gaps."""
    plane = np.zeros((height, width), np.uint16)
    plane[4:14, 5:17] = 3
    if number % 2:
        plane[20:30, 30:50] = 7
    if number % 3 == 0:
        plane[34:40, 8:20] = 9
    return plane


def grey(number, height=HEIGHT, width=WIDTH):
    random = np.random.default_rng(number)
    picture = random.integers(20, 60, (height, width)).astype(np.uint8)
    picture[labels(number, height, width) > 0] += 120
    return picture


def coloured(plane):
    """The colours of a map of ROIs: one for each id, background black."""
    table = np.zeros((plane.max() + 1, 3), np.uint8)
    table[1:] = np.random.default_rng(1).integers(30, 255, (plane.max(), 3))
    return table[plane]


def png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, format="PNG")
    return out.getvalue()


def bmp(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, format="BMP")
    return out.getvalue()


def tif(array):
    out = io.BytesIO()
    tifffile.imwrite(out, array, photometric="rgb" if array.ndim == 3 else "minisblack")
    return out.getvalue()


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def cellpose(folder, train=89, test=11):
    for name, count in (("train", train), ("test", test)):
        files = {}
        for number in range(count):
            files[f"{name}/{number:03d}_masks.png"] = png(labels(number))
            files[f"{name}/{number:03d}_img.png"] = png(np.repeat(grey(number)[..., None], 3, axis=2))
        write_zip(folder / f"{name}.zip", {f"{name}/": b"", "__MACOSX/train/._000_img.png": b"x", **files})


def neurips(folder, train=141, test=24):
    for name, top, count in (
        ("Training-labeled.zip", "Training-labeled", train),
        ("Tuning.zip", "Tuning", test),
    ):
        files = {}
        for number in range(1, count + 1):
            kind, pack = ("bmp", bmp) if number % 2 else ("png", png)
            files[f"{top}/images/cell_{number:05d}.{kind}"] = pack(grey(number))
            files[f"{top}/labels/cell_{number:05d}_label.tiff"] = tif(labels(number))
        write_zip(folder / name, files)


def stardist(folder, train=4, test=2):
    files = {}
    for split, count in (("train", train), ("test", test)):
        for number in range(count):
            files[f"dsb2018/{split}/images/{number:02x}f3.tif"] = tif(grey(number))
            files[f"dsb2018/{split}/masks/{number:02x}f3.tif"] = tif(labels(number))
    write_zip(folder / "dsb2018.zip", files)


def ecoli(folder, train=4, test=2):
    files = {"live-cell_data/brightfield/movie.tif": b"ignored"}
    for split, count in (("train", train), ("test", test)):
        for number in range(count):
            files[f"{split}/brightfield/pos{number}.tif"] = tif(grey(number))
            files[f"{split}/masks_RoiMap/pos{number}.tif"] = tif(coloured(labels(number)) if number else labels(number))
            files[f"{split}/masks_binary/pos{number}.tif"] = tif((labels(number) > 0).astype(np.uint8))
    write_zip(folder / "DeepBacs_Data_Segmentation_E.coli_Brightfield_dataset.zip", files)


def subtilis(folder, train=4, test=2):
    top = "DeepBacs_Data_Segmentation_B.subtilis_FtsZ_dataset"
    files = {}
    for split, count in (("train", train), ("test", test)):
        for number in range(count):
            for kind in ("CARE_dataset", "SplineDist_dataset", "StarDist_dataset"):
                files[f"{top}/{kind}/{split}/masks/frame{number}.tif"] = b"ignored"
            files[f"{top}/pix2pix_dataset/{split}/fluorescence/frame{number}.png"] = png(grey(number))
            files[f"{top}/pix2pix_dataset/{split}/masks/frame{number}.png"] = png(coloured(labels(number)))
    write_zip(folder / f"{top}.zip", files)


def meta_rows(groups, *, test):
    head = ["filename", "experiment", "pixel_size", "screening_passed", "time_step", "specimen"]
    rows = [[f"{n}.tif", f"a-b-{folder}", "0.5", "1", "0", TISSUES[folder]] for n, folder in enumerate(groups)]
    strange = [["", "", "", "", "", ""]] * 2 if test else []
    return [head, *strange, *rows]


def arrays(groups, *, test, objects=True):
    """One ``.npz`` as DeepCell stores it; `objects` stores the description as Python objects."""
    count = len(groups)
    masks = np.stack([np.stack([np.ones_like(labels(n)), labels(n)], axis=-1) for n in range(count)]).astype(np.int32)
    images = np.stack(
        [np.stack([grey(n).astype(np.float32) * 3, grey(n + 1).astype(np.float32)], axis=-1) for n in range(count)]
    )
    meta = np.array(meta_rows(groups, test=test), dtype=object if objects else None)
    out = io.BytesIO()
    np.savez_compressed(out, X=images, y=masks, meta=meta)
    return out.getvalue()


def tissuenet(folder, groups=None, train=10, test=1, objects=True):
    groups = list(TISSUES if groups is None else groups)
    # Neighbours belong to different groups, as in the archive; one small group is none of the 14.
    files = {
        f"tissuenet_v1.1_{split}.npz": arrays(groups * count, test=split == "test", objects=objects)
        for split, count in (("train", train), ("val", 1), ("test", test))
    }
    write_zip(folder / "tissuenet_v1.1.zip", files)


def all_archives(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for make in (cellpose, neurips, stardist, ecoli, subtilis, tissuenet):
        make(folder)
    return folder


def names(folder, short, split, kind="images"):
    """File names of a prepared data set, in the order of their indices."""
    return [path.name for path in images_in(folder / DATA_SETS[short].name / split / kind)]
