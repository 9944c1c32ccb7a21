"""Conversion to the 8-bit model input, against the research code's results (golden g)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cellseg1.errors import ImageError, SettingsError
from cellseg1.images import InputRule, pick_channels, read_image, to_model_input

GOLDEN = Path(__file__).parents[2] / "golden" / "g_read_image.npz"
PAPER = InputRule("minmax")
STUDIO = InputRule("percentile")

with np.load(GOLDEN) as _file:
    VECTORS = {key: _file[key] for key in _file.files}
CASES = sorted(key[3:] for key in VECTORS if key.startswith("in."))
NOT_UINT8 = {"rgb_u16_one_empty", "rgb_f32_one_empty"}
EXACT = [c for c in CASES if f"out.{c}" in VECTORS and c not in NOT_UINT8]
REFUSED = [c for c in CASES if f"err.{c}" in VECTORS]


def test_every_golden_entry_is_used() -> None:
    assert len(EXACT) == 19
    assert set(EXACT) | set(REFUSED) | NOT_UINT8 == set(CASES)
    assert len(CASES) * 2 == len(VECTORS)


@pytest.mark.parametrize("case", EXACT)
def test_minmax_equals_research_code(case: str) -> None:
    image = VECTORS[f"in.{case}"]
    before = image.copy()
    result = to_model_input(image, PAPER)
    expected = VECTORS[f"out.{case}"]
    assert result.dtype == expected.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(image, before)  # the research code changed its input


@pytest.mark.parametrize("case", sorted(NOT_UINT8))
def test_minmax_gives_uint8_where_research_code_kept_the_type(case: str) -> None:
    image = VECTORS[f"in.{case}"]
    before = image.copy()
    result = to_model_input(image, PAPER)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, VECTORS[f"out.{case}"].astype(np.uint8))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("rule", [PAPER, STUDIO])
def test_nan_counts_as_the_minimum(rule: InputRule) -> None:
    # The golden float_nan holds no NaN (it went through an 8-bit type first), so one is put in here.
    image = VECTORS["in.float_nan"].copy()
    image[3:5, 7] = np.nan
    result = to_model_input(image, rule)
    assert not result[3:5, 7].any()
    if rule is PAPER:
        good = ~np.isnan(image)
        np.testing.assert_array_equal(result[good], VECTORS["out.float_nan"][good])


@pytest.mark.parametrize("rule", [PAPER, STUDIO])
def test_infinities_are_the_ends_of_the_range(rule: InputRule) -> None:
    image = np.tile(np.linspace(0, 1, 70, dtype=np.float32), (40, 1))
    image[3, 5], image[4, 6] = np.inf, -np.inf
    result = to_model_input(image, rule)
    assert result[3, 5, 0] == 255
    assert result[4, 6, 0] == 0
    assert result[20, 35, 0] in (127, 128, 129)
    assert not to_model_input(np.full((4, 7), np.nan), rule).any()


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_research_code_refused_works_from_a_file(case: str, tmp_path: Path) -> None:
    array = VECTORS[f"in.{case}"]
    np.save(tmp_path / "a.npy", array)
    image = read_image(tmp_path / "a.npy")
    result = to_model_input(image.plane(), PAPER)
    height, width = (array.shape[1:]) if case.startswith("stack") else array.shape[:2]
    assert result.dtype == np.uint8
    assert result.shape == (height, width, 3)
    assert result.any() == (case != "zero_rgb")
    if case == "rgba_u8":
        np.testing.assert_array_equal(result, to_model_input(array[..., :3], PAPER))
        assert "4 channels" in image.info.notes[0]  # nothing says that the fourth is transparency
    if case == "gray_alpha_u8":
        assert not result[..., 2].any()


def test_a_stack_is_not_a_plane() -> None:
    for case in ("stack_3hw", "stack_5hw"):
        with pytest.raises(ImageError, match="not one plane"):
            to_model_input(VECTORS[f"in.{case}"], PAPER)
    with pytest.raises(ImageError, match="not one plane"):
        to_model_input(np.zeros((4, 6), complex), PAPER)


def test_percentile_ignores_hot_pixels_and_rounds() -> None:
    image = np.tile(np.arange(100, 200, dtype=np.uint16), (60, 1))
    image[5, 5] = 65535
    assert to_model_input(image, PAPER)[:, :, 0].max() == 255
    assert np.median(to_model_input(image, PAPER)) == 0  # one hot pixel flattens the paper's rule
    result = to_model_input(image, InputRule("percentile", 1, 99))
    low, high = np.percentile(image, [1, 99])
    expected = np.rint((np.clip(image.astype(float), low, high) - low) / (high - low) * 255)
    np.testing.assert_array_equal(result[..., 1], expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.uint64])
def test_percentiles_equal_numpy_for_every_type(dtype: type) -> None:
    rng = np.random.default_rng(3)
    image: np.ndarray = rng.integers(0, 120, (300, 310)).astype(dtype)
    low, high = np.percentile(image.astype(float), [0.1, 99.9])
    expected = np.rint((np.clip(image.astype(float), low, high) - low) / (high - low) * 255)
    np.testing.assert_array_equal(to_model_input(image, STUDIO)[..., 2], expected)


def test_percentile_keeps_the_hue_of_colour_pictures() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(10, 100, (50, 70))
    colour = np.stack([grey, grey // 2, grey // 4 + 1], axis=-1).astype(np.uint8)
    together = to_model_input(colour, STUDIO)
    assert together[..., 0].mean() > 1.8 * together[..., 1].mean()
    apart = to_model_input(colour.astype(np.uint16), STUDIO)
    assert apart[..., 2].max() == apart[..., 0].max() == 255
    np.testing.assert_array_equal(to_model_input(colour, STUDIO, colour=False), apart)
    np.testing.assert_array_equal(to_model_input(colour.astype(np.uint16), STUDIO, colour=True), together)


@pytest.mark.parametrize("value", [0, 7, 5000])
def test_percentile_of_a_constant_is_black(value: int) -> None:
    assert not to_model_input(np.full((9, 14), value, np.uint16), STUDIO).any()


def test_percentile_falls_back_to_minmax_for_few_bright_spots() -> None:
    image = np.zeros((200, 210), np.uint16)
    image[10, 10] = 900
    assert to_model_input(image, STUDIO)[10, 10].tolist() == [255, 255, 255]


def test_two_channels_become_red_and_green() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 4000, (30, 45, 2)).astype(np.uint16)
    for rule in (PAPER, STUDIO):
        result = to_model_input(image, rule)
        assert result[..., 0].max() == result[..., 1].max() == 255
        assert not result[..., 2].any()
        np.testing.assert_array_equal(result[..., 1], to_model_input(image[..., 1], rule)[..., 0])


def test_channels_are_picked() -> None:
    image = np.zeros((20, 33, 5), np.uint16)
    for c in (1, 2, 4):
        image[..., c] = np.arange(33) * (c + 1)
    assert pick_channels(image) == (1, 2, 4)
    assert pick_channels(image, [4]) == (4,)
    assert pick_channels(image[..., 0]) == (0,)
    single = to_model_input(image, STUDIO, channels=[4])
    assert (single[..., 0] == single[..., 2]).all()
    assert single.max() == 255
    pair = to_model_input(image, STUDIO, channels=[4, 0])
    assert pair[..., 0].any() == pair[..., 1].any() == pair[..., 2].any()  # channel 0 is empty: shown grey
    for bad in ([5], [-1], [0, 1, 2, 3], []):
        with pytest.raises(ImageError, match="Channels"):
            to_model_input(image, STUDIO, channels=bad)


def test_one_row() -> None:
    row = np.arange(5000, dtype=np.uint16)[np.newaxis]
    assert to_model_input(row, PAPER).shape == (1, 5000, 3)
    assert to_model_input(row.T, STUDIO).shape == (5000, 1, 3)


def test_rule_goes_through_a_dictionary() -> None:
    rule = InputRule("percentile", 1.0, 99.0)
    assert InputRule.from_dict(rule.to_dict()) == rule
    assert InputRule.from_dict({"kind": "minmax"}) == PAPER
    for bad in ({}, {"kind": "other"}, {"kind": "minmax", "x": 1}, {"kind": "percentile", "low": 60, "high": 40}):
        with pytest.raises(SettingsError):
            InputRule.from_dict(bad)
    with pytest.raises(SettingsError):
        InputRule.from_dict({"kind": "percentile", "low": None})


@pytest.mark.parametrize("rule", [PAPER, STUDIO, InputRule(outliers="leave_out"), InputRule(ranges=((0.0, 900.0),))])
@pytest.mark.parametrize("kind", [np.float64, np.longdouble])
def test_values_whose_sums_overflow_count_as_infinite(rule: InputRule, kind: type) -> None:
    plane = np.random.default_rng(2).uniform(0, 1000, (31, 47)).astype(kind)
    plane[3, 5], plane[4, 6] = np.inf, -np.inf
    expected = to_model_input(plane, rule)
    assert len(np.unique(expected)) > 200
    plane[3, 5], plane[4, 6] = 1.7e308, -1.7e308
    np.testing.assert_array_equal(to_model_input(plane, rule), expected)


def test_floats_of_more_than_64_bits_are_read_as_64(tmp_path: Path) -> None:
    plane = np.random.default_rng(2).uniform(0, 1000, (31, 47)).astype(np.longdouble)
    plane[0, 0] = np.longdouble("1e4000") if np.finfo(np.longdouble).maxexp > 2000 else np.inf
    np.save(tmp_path / "a.npy", plane)
    image = read_image(tmp_path / "a.npy")
    assert (image.array.dtype, image.info.dtype) == (np.float64, "float64")
    assert image.array[0, 0] == np.inf
    np.testing.assert_array_equal(image.array[1:], plane[1:].astype(np.float64))
