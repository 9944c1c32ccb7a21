"""Golden i: where the research code puts its points; means within three standard errors of its draws."""

import json

import numpy as np
import pytest
from golden_models import golden
from scipy.ndimage import distance_transform_edt

from cellseg1.settings import make_settings
from cellseg1.training.points import sample_points
from cellseg1.training.samples import SampleSource, TrainingImage

DATA = golden("i_sample_points")
SUMMARY = json.loads(str(DATA["summary_json"]))
DRAWS = 300


def settings_for(name, **changes):
    settings = make_settings("paper", "vit_b", changes)
    if name == "B256_unequal_prob":
        settings = settings.replace(
            foreground_equal_prob=False,
            background_equal_prob=False,
            foreground_sample_area_ratio=0.5,
            background_sample_area_ratio=0.8,
        )
    return settings


def edge_distances(labels, xy, cell):
    """Normalised edge distance of each point, as the README of the golden files defines it."""
    background = distance_transform_edt(np.pad(labels == 0, 1))[1:-1, 1:-1]
    values = []
    for (x, y), c in zip(xy, cell, strict=True):
        if c == 0:
            values.append(background[y, x] / background.max())
            continue
        rows, columns = np.nonzero(labels == c)
        box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        depth = distance_transform_edt(np.pad(labels[box] == c, 1))[1:-1, 1:-1]
        values.append(depth[y - box[0].start, x - box[1].start] / depth.max())
    return np.array(values)


def draw_many(name, **changes):
    labels = DATA[f"{name}.mask"].astype(np.int32)
    settings = settings_for(name, **changes)
    counts, positive, negative, hits = [], [], [], []
    for seed in range(DRAWS):
        points = sample_points(labels, settings, np.random.default_rng(seed))
        under = labels[points.xy[:, 1], points.xy[:, 0]]
        assert np.array_equal(under, points.cell)
        on = points.cell > 0
        assert len(set(points.cell[on])) == on.sum()
        counts.append((on.sum(), (~on).sum()))
        distance = edge_distances(labels, points.xy, points.cell)
        positive.append(distance[on])
        negative.append(distance[~on])
        hits.append(np.bincount(points.cell[on], minlength=labels.max() + 1)[1:])
    return np.array(counts), positive, negative, np.sum(hits, axis=0)


def agrees(draws, mean, deviation, draws_there):
    """Means of points: draws of one tile are independent, so a draw's mean is one observation."""
    means = np.array([values.mean() for values in draws])
    here = means.std(ddof=1) / np.sqrt(len(means))
    points = np.mean([len(values) for values in draws])
    there = deviation / np.sqrt(draws_there * points)
    return abs(means.mean() - mean) <= 3 * np.hypot(here, there)


@pytest.mark.parametrize("name", ["A512", "B256", "C256_rectangles", "B256_unequal_prob"])
def test_points_lie_where_the_research_code_puts_them(name):
    want = SUMMARY[name]
    counts, positive, negative, hits = draw_many(name)
    error = counts[:, 0].std(ddof=1) / np.sqrt(DRAWS) + want["std_pos"] / np.sqrt(want["n_draws"])
    assert abs(counts[:, 0].mean() - want["mean_pos"]) <= 3 * error + 1e-9
    assert counts[:, 1].mean() == want["mean_neg"]
    assert agrees(negative, want["mean_norm_edge_dist_neg"], want["std_norm_edge_dist_neg"], want["n_draws"])
    assert agrees(positive, want["mean_norm_edge_dist_pos"], want["std_norm_edge_dist_pos"], want["n_draws"])
    golden_hits = DATA[f"{name}.hits_per_cell"]
    assert len(golden_hits) == want["n_cells"] == len(DATA[f"{name}.cell_areas"])
    assert np.array_equal(hits == 0, golden_hits == 0)
    rate, golden_rate = hits / DRAWS, golden_hits / want["n_draws"]
    spread = np.sqrt(golden_rate * (1 - golden_rate) * (1 / DRAWS + 1 / want["n_draws"]))
    assert np.all(np.abs(rate - golden_rate) <= 4.5 * spread + 1e-9)
    for kind, values in (("pos", positive), ("neg", negative)):
        ours = np.histogram(np.concatenate(values), 20, (0, 1))[0]
        theirs = DATA[f"{name}.hist20_{kind}"]
        assert np.abs(np.cumsum(ours / ours.sum()) - np.cumsum(theirs / theirs.sum())).max() < 0.06


def test_areas_in_the_golden_file_are_those_of_its_masks():
    for name in SUMMARY:
        if f"{name}.mask" in DATA:
            areas = np.bincount(DATA[f"{name}.mask"].ravel())[1:]
            assert np.array_equal(areas[areas > 0], DATA[f"{name}.cell_areas"])


def test_repaired_distances_keep_points_of_rectangles_away_from_their_edges():
    _, positive, _, _ = draw_many("C256_rectangles", distance="repaired")
    assert np.concatenate(positive).mean() > 0.7  # 0.48 with the defect


EDGE_CASES = {
    "empty": (np.zeros((300, 400), np.int32), 0, 1),
    "one_cell_covers_all": (np.full((300, 400), 1, np.int32), 1, 0),
    "two_cells_cover_all": (np.repeat([[1, 2]], 300, 0).repeat(200, 1).astype(np.int32), 1, 1),
    "one_tiny": (np.pad(np.ones((3, 3), np.int32), ((100, 197), (100, 297))), 0, 1),
}


@pytest.mark.parametrize("name", EDGE_CASES)
def test_edge_cases(name):
    labels, on, off = EDGE_CASES[name]
    assert SUMMARY["edge_cases"][name].startswith(f"{on} pos, {off} neg")
    points = sample_points(labels, settings_for(""), np.random.default_rng(1))
    assert ((points.cell > 0).sum(), (points.cell == 0).sum()) == (on, off)


def test_without_background_every_cell_stays_a_cell_when_repaired():
    labels = EDGE_CASES["two_cells_cover_all"][0]
    points = sample_points(labels, settings_for("", full_tile="repaired"), np.random.default_rng(1))
    assert sorted(points.cell) == [1, 2]


def test_points_stay_inside_the_annotated_part():
    labels = DATA["A512.mask"].astype(np.int32)
    annotated = np.zeros(labels.shape, bool)
    annotated[100:400, 50:300] = True
    for seed in range(20):
        points = sample_points(labels, make_settings(), np.random.default_rng(seed), annotated)
        assert annotated[points.xy[:, 1], points.xy[:, 0]].all()
        assert (points.cell > 0).any()
        assert (points.cell == 0).any()


def collate_source():
    tile = TrainingImage(
        "tile", "", DATA["collate.tile_image"], DATA["collate.tile_mask"].astype(np.int32), annotated=None
    )
    return SampleSource([tile], make_settings("paper", "vit_b", {"resize_size": None, "duplicate_data": 0}))


def test_augmented_samples_have_the_statistics_of_the_research_code():
    want = SUMMARY["collate_B"]
    source = collate_source()
    samples = [source.get(0, 0) if seed == 0 else source.get(seed, 0) for seed in range(want["draws"])]
    assert all(sample is not None for sample in samples)
    sample = samples[0]
    assert list(sample.pixels.shape) == want["image_shape"]

    def compare(ours, theirs):
        ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
        error = np.hypot(ours.std(ddof=1) / np.sqrt(len(ours)), theirs.std(ddof=1) / np.sqrt(len(theirs)))
        assert abs(ours.mean() - theirs.mean()) <= 3 * error

    compare([(s.cell > 0).sum() for s in samples], DATA["collate.npos"])
    compare([(s.cell == 0).sum() for s in samples], DATA["collate.nneg"])
    compare([s.pixels.mean() for s in samples], DATA["collate.image_mean"])
    compare([(s.labels > 0).mean() for s in samples], DATA["collate.fg_fraction"])
    compare([(s.pixels == 0).all(axis=2).mean() for s in samples], DATA["collate.black_fraction"])
    areas = [np.count_nonzero(s.labels == c) for s in samples for c in s.cell if c]
    # Points of one image share its scale, so whole images are the observations.
    ours = np.array([np.mean([np.count_nonzero(s.labels == c) for c in s.cell if c]) for s in samples if s.cell.any()])
    ends = np.cumsum(DATA["collate.npos"])[:-1]
    theirs = np.array([part.mean() for part in np.split(DATA["collate.areas"].astype(float), ends) if len(part)])
    compare(ours, theirs)
    assert abs(np.median(areas) / want["median_pos_cell_area"] - 1) < 0.12
