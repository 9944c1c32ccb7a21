"""From values to colours on the screen; and which colour a cell has.  No widget is needed."""

import numpy as np
import pytest

from app.annotation.cells import CellTable
from app.canvas.layers.cell_colours import DISTANCES, CellColours, pairs_near, touching_pairs
from app.project.display import ChannelView, Display, auto_channel, auto_display, histogram, render
from cellseg1.prediction.overlay import PALETTE


def test_window_level_and_gamma():
    plane = np.array([[100, 200, 300], [400, 500, 600]], np.uint16)
    grey = render(plane, Display((ChannelView(200, 400),)))
    assert grey.shape == (2, 3, 3)
    assert grey[..., 0].tolist() == [[0, 0, 128], [255, 255, 255]]
    assert (grey[..., 0] == grey[..., 2]).all()
    raised = render(plane, Display((ChannelView(200, 400, gamma=0.5),)))
    assert raised[0, 2, 0] == round(0.5**0.5 * 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.uint32, np.float32, np.float64])
def test_every_type_is_shown_the_same(dtype):
    plane = np.array([[0, 10, 50], [90, 100, 120]]).astype(dtype)
    shown = render(plane, Display((ChannelView(10, 90),)))[..., 0]
    assert shown.tolist() == [[0, 0, 128], [255, 255, 255]]


def test_booleans_and_missing_values():
    assert render(np.array([[True, False]]), auto_display(np.array([[True, False]])))[..., 0].tolist() == [[255, 0]]
    odd = np.array([[np.nan, np.inf, -np.inf, 0.5]])
    assert render(odd, Display((ChannelView(0, 1),)))[..., 0].tolist() == [[0, 255, 0, 128]]
    assert auto_display(np.full((2, 3), np.nan)).channels[0].high > auto_display(np.zeros((2, 3))).channels[0].low


def test_colour_pictures_are_shown_as_they_are():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert (render(picture, auto_display(picture, colour=True)) == picture).all()
    with_opacity = np.dstack([picture, np.full((5, 7), 255, np.uint8)])
    assert (render(with_opacity, auto_display(with_opacity, colour=True)) == picture).all()


def test_channels_add_up_in_their_colours():
    plane = np.zeros((1, 3, 2), np.uint8)
    plane[0, :, 0] = [255, 0, 255]
    plane[0, :, 1] = [0, 100, 255]
    display = Display((ChannelView(0, 255, color=(0, 255, 0)), ChannelView(0, 255, color=(255, 0, 255))))
    assert render(plane, display).tolist() == [[[0, 255, 0], [100, 0, 100], [255, 255, 255]]]
    assert render(plane, display.with_channel(0, visible=False))[0, 0].tolist() == [0, 0, 0]
    overlapping = Display((ChannelView(0, 255, color=(255, 255, 0)), ChannelView(0, 255, color=(255, 0, 0))))
    assert render(plane, overlapping)[0, 2].tolist() == [255, 255, 0]


def test_auto_leaves_out_a_few_bright_spots_but_not_the_only_ones():
    plane = np.random.default_rng(0).integers(100, 1000, (200, 300)).astype(np.uint16)
    plane[0, :5] = 60000
    low, high = auto_display(plane).channels[0].low, auto_display(plane).channels[0].high
    assert 100 <= low < 110
    assert 990 < high < 1001
    spots = np.zeros((200, 300), np.uint16)
    spots[5, 7] = 900
    view = auto_display(spots).channels[0]
    assert (view.low, view.high) == (0, 900)
    again = auto_channel(plane, 0, ChannelView(1, 2, 3.0, (255, 0, 255), name="DAPI"))
    assert (again.low, again.high, again.gamma, again.color, again.name) == (low, high, 1.0, (255, 0, 255), "DAPI")


def test_display_survives_json_and_nonsense():
    display = Display((ChannelView(1.5, 7, 0.5, (1, 2, 3), visible=False, name="a"), ChannelView(0, 1)))
    assert Display.from_dict(display.to_dict()) == display
    broken = {"channels": [{"low": "x", "high": float("nan"), "gamma": -3, "color": [1, "b"]}, {}]}
    shown = Display.from_dict(broken)
    assert len(shown.channels) == 2
    assert shown.channels[0].gamma == pytest.approx(0.1)
    assert shown.channels[0].color == (255, 255, 255)
    assert Display.from_dict({}) == Display()


def test_histogram_counts_finite_values():
    counts, edges = histogram(np.array([[1.0, 2.0, np.nan], [3.0, 3.0, np.inf]]), bins=2)
    assert counts.tolist() == [1, 3]
    assert edges.tolist() == [1, 2, 3]
    counts, _ = histogram(np.full((4, 5), 7, np.uint8))
    assert counts.sum() == 20


# ---- colours


def blobs(shape, count, seed=0):
    """Nearest-seed cells: every cell touches its neighbours."""
    rng = np.random.default_rng(seed)
    seeds = rng.uniform(0, 1, (count, 2)) * shape
    y, x = np.mgrid[: shape[0], : shape[1]]
    nearest = ((y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2).argmin(axis=2)
    return (nearest + 1).astype(np.int32)


def colours_of(colours, labels):
    return {int(cell): colours(int(cell)) for cell in np.unique(labels) if cell}


def assert_neighbours_differ(colours, labels):
    for a, b in touching_pairs(labels):
        assert colours(int(a)) != colours(int(b)), f"cells {a} and {b} touch and have one colour"


def test_touching_means_up_to_one_pixel_between():
    labels = np.zeros((6, 12), np.int32)
    labels[0, 0], labels[0, 1] = 1, 2
    labels[0, 5], labels[0, 7] = 3, 4
    labels[3, 0], labels[4, 1] = 5, 6
    labels[3, 5], labels[3, 8] = 7, 8
    labels[3, 11], labels[5, 11] = 9, 10
    assert touching_pairs(labels).tolist() == [[1, 2], [3, 4], [5, 6], [9, 10]]


def test_pairs_are_found_across_strips():
    labels = np.zeros((600, 5), np.int32)
    labels[255], labels[256] = 1, 2
    labels[511], labels[513] = 3, 4
    assert touching_pairs(labels).tolist() == [[1, 2], [3, 4]]


def test_neighbours_never_look_alike_and_all_colours_are_used():
    labels = blobs((150, 230), 150)
    colours = CellColours()
    colours.assign_all(labels, CellTable.of(labels))
    assert_neighbours_differ(colours, labels)
    apart = DISTANCES
    nearest = [apart[colours(int(a)), colours(int(b))] for a, b in touching_pairs(labels)]
    assert np.percentile(nearest, 2) > 17
    assert len(set(colours_of(colours, labels).values())) >= 8


def test_a_cell_keeps_its_colour_when_others_change():
    labels = blobs((120, 170), 60)
    colours = CellColours()
    colours.assign_all(labels, CellTable.of(labels))
    rng = np.random.default_rng(3)
    for number in range(61, 121):
        before = colours_of(colours, labels)
        y, x = rng.integers(0, 110), rng.integers(0, 150)
        box = (int(y), int(x), min(120, int(y) + 12), min(170, int(x) + 22))
        labels[box[0] : box[2], box[1] : box[3]] = number if number % 3 else 0
        table = CellTable.of(labels)
        if number % 2:
            colours.meet(labels, box)
        _, changed = colours.update(labels, box, table)
        after = colours_of(colours, labels)
        assert_neighbours_differ(colours, labels)
        moved = {cell for cell in before.keys() & after.keys() if before[cell] != after[cell]}
        assert moved <= set(changed)
        # Only what the new cell or the gap brought together may change.
        assert len(moved) <= 3


def test_the_younger_of_two_that_come_to_touch_gives_way():
    labels = np.zeros((40, 90), np.int32)
    labels[5:35, 5:25], labels[5:35, 60:80] = 1, 13
    colours = CellColours()
    colours.assign_all(labels, CellTable.of(labels))
    assert colours(1) == colours(13)
    labels[10:20, 25:60] = 1
    given, changed = colours.update(labels, (10, 25, 20, 60), CellTable.of(labels))
    assert given
    assert changed == [13]
    assert colours(1) != colours(13)


def test_a_long_stroke_is_checked_where_it_went():
    labels = np.zeros((900, 1200), np.int32)
    labels[5:35, 5:25], labels[860:890, 1160:1190] = 1, 13
    colours = CellColours()
    table = CellTable.of(labels)
    colours.assign_all(labels, table)
    for y in range(20, 880):
        labels[y, max(15, int(y * 1.33) - 6) : int(y * 1.33) + 6] = 1
    labels[860:890, 1160:1190] = 13
    box = 0, 0, 900, 1200
    # Nothing is new, so that may wait; who looks then finds it.
    assert colours.update(labels, box, CellTable.of(labels)) == (False, [])
    assert colours.unchecked == box
    _, changed = colours.part(labels, pairs_near(labels, box), CellTable.of(labels))
    assert changed == [13]


def test_a_long_stroke_that_makes_a_cell_is_checked_at_once():
    labels = np.zeros((900, 1200), np.int32)
    labels[860:890, 1160:1190] = 13
    colours = CellColours()
    colours.assign_all(labels, CellTable.of(labels))
    for y in range(20, 880):
        labels[y, max(15, int(y * 1.33) - 6) : int(y * 1.33) + 6] = 1
    labels[860:890, 1160:1190] = 13
    # As if the new cell had been given the colour of the old one while it was drawn.
    given, _ = colours.update(labels, (0, 0, 900, 1200), CellTable.of(labels))
    assert given
    assert colours.unchecked is None
    assert colours(1) != colours(13)


def test_ids_of_nine_digits_need_no_more_memory():
    labels = np.zeros((10, 30), np.int32)
    labels[:, :10], labels[:, 10:20] = 2_000_000_000, 1_999_999_999
    colours = CellColours()
    colours.assign_all(labels)
    assert colours.size <= 1 << 22
    assert colours(2_000_000_000) != colours(1_999_999_999)
    assert (colours.place(labels)[:, :10] < colours.size).all()


def test_the_palette_is_safe_for_colour_blind_eyes():
    apart = DISTANCES[:7, :7]
    assert apart[~np.eye(7, dtype=bool)].min() > 14


#: How red-, green- and blue-blind people see linear RGB (Machado, Oliveira and Fernandes, 2009).
_BLIND = np.array(
    [
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)


def colour_distances(palette):
    """(n, n) CIELAB distances, the smallest of normal sight and of red- and green-blindness."""
    unit = palette / 255.0
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    seen = [linear, *(np.clip(linear @ matrix.T, 0, 1) for matrix in _BLIND[:2])]
    apart = [np.linalg.norm(lab[:, None] - lab[None], axis=2) for lab in map(_lab, seen)]
    return np.asarray(np.min(apart, axis=0))


def _lab(linear):
    xyz = linear @ np.array([[0.4125, 0.2127, 0.0193], [0.3576, 0.7152, 0.1192], [0.1804, 0.0722, 0.9503]])
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def test_the_table_of_distances_is_that_of_the_palette():
    wanted = colour_distances(PALETTE)
    np.fill_diagonal(wanted, 0.0)
    assert DISTANCES.shape == (len(PALETTE), len(PALETTE))
    assert np.array_equal(DISTANCES, np.round(wanted, 2))
