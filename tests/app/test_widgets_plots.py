"""Axis, loss curve, histogram."""

import math

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from app.theme import DARK, LIGHT, apply_theme
from app.widgets.plots.axis import number, round_step, ticks
from app.widgets.plots.histogram import Histogram
from app.widgets.plots.loss_curve import LossCurve


@pytest.fixture(autouse=True)
def look(qapp):
    yield apply_theme(qapp, "light")
    apply_theme(qapp, "light")


def heard(signal):
    got = []
    signal.connect(lambda *args: got.append(args))
    return got


# ---- axis


@pytest.mark.parametrize("span", [1e-6, 0.03, 0.99, 1, 7, 640, 12_345, 1e9])
@pytest.mark.parametrize("wanted", [2, 4, 9])
def test_marks_are_round_and_not_too_many(span, wanted):
    step = round_step(span, wanted)
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - good) for good in (1, 2, 5)) < 1e-6
    assert wanted / 2.6 <= span / step <= wanted + 1e-6


def test_marks_cover_the_axis():
    assert ticks(0, 1, 4) == [0, 0.5, 1]
    assert ticks(0, 640, 4) == [0, 200, 400, 600]
    assert ticks(-0.3, 0.3, 6) == [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]
    assert ticks(0, 0, 4)  # nothing wide, but no endless loop either


def test_numbers_on_axes():
    assert [number(value, 0.5) for value in (0, 0.5, 1)] == ["0.0", "0.5", "1.0"]
    assert number(0.05, 0.05) == "0.05"
    assert number(600, 200) == "600"
    assert number(20_000, 10_000) == "20k"
    assert number(0.123456) == "0.123"


# ---- loss curve


@pytest.fixture
def curve(qtbot):
    curve = LossCurve()
    qtbot.addWidget(curve)
    curve.resize(320, 160)
    curve.show()
    return curve


def accent_pixels(widget, colours=LIGHT):
    widget.setFocus()
    widget.clearFocus()  # its ring has the same colour
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint32).reshape(image.height(), -1)[:, : image.width()]
    return int(np.count_nonzero(pixels & 0xFFFFFF == int(colours.accent[1:], 16)))


def test_the_curve_is_empty_at_first_and_grows(curve):
    assert curve.points == []
    assert curve.reading() is None
    assert accent_pixels(curve) == 0
    curve.append(1, 1.0)
    few = accent_pixels(curve)
    for step in range(2, 60):
        curve.append(step, 1 / step)
    assert accent_pixels(curve) > few > 0
    assert "step 59" in curve.accessibleDescription()
    curve.clear()
    assert accent_pixels(curve) == 0


def test_the_line_is_smooth_and_follows(curve):
    rng = np.random.default_rng(0)
    for step in range(400):
        curve.append(step, 1.0 + rng.normal() * 0.3)
    smooth = np.array([value for _step, value in curve.smooth])
    assert smooth[100:].std() < 0.1
    assert abs(smooth[-1] - 1) < 0.2
    for step in range(400, 600):
        curve.append(step, 0.2)
    assert curve.smooth[-1][1] == pytest.approx(0.2, abs=0.01)


def test_what_is_no_number_is_left_out_and_repeated_steps_replace(curve):
    curve.set_points([(1, 1.0), (2, float("nan")), (3, float("inf")), (4, 0.5), (5, 0.4)])
    assert curve.points == [(1, 1.0), (4, 0.5), (5, 0.4)]
    curve.append(4, 0.6)  # a resumed training does this step again
    assert curve.points == [(1, 1.0), (4, 0.6)]
    assert len(curve.smooth) == 2


def test_the_pointer_reads_the_nearest_value(curve, qtbot):
    curve.set_points([(step, 1 - step / 100) for step in range(101)])
    place = curve._place()
    qtbot.mouseMove(curve, QPoint(round(place.center().x()), 60))
    curve._read_at(place.center().x())
    step, loss = curve.reading()
    assert step == pytest.approx(50, abs=1)
    assert loss == pytest.approx(1 - step / 100)
    before = curve.grab().toImage()
    curve._read_at(place.right())
    assert curve.reading()[0] == 100
    assert curve.grab().toImage() != before


def test_the_keys_read_too(curve, qtbot):
    curve.set_points([(1, 1.0), (2, 0.8), (3, 0.5)])
    curve.setFocus()
    qtbot.keyClick(curve, Qt.Key.Key_Left)
    assert curve.reading() == (3, 0.5)  # the newest is where reading begins
    qtbot.keyClick(curve, Qt.Key.Key_Left)
    assert curve.reading() == (2, 0.8)
    qtbot.keyClick(curve, Qt.Key.Key_Home)
    assert curve.reading() == (1, 1.0)
    qtbot.keyClick(curve, Qt.Key.Key_Left)
    assert curve.reading() == (1, 1.0)
    qtbot.keyClick(curve, Qt.Key.Key_End)
    assert curve.reading() == (3, 0.5)
    assert "0.5" in curve.accessibleDescription()
    qtbot.keyClick(curve, Qt.Key.Key_Escape)
    assert curve.reading() is None
    curve._at = 2
    curve.append(1, 3.0)  # what was read is gone
    assert curve.reading() == (1, 3.0)


def test_the_axis_reaches_to_the_end_of_the_training(curve):
    curve.set_points([(0, 1), (100, 0.5)])
    assert curve._ranges()[1] == 100
    curve.set_total(1000)
    assert curve._ranges()[1] == 1000
    left, _right, low, high = curve._ranges()
    assert (left, low) == (0, 0)
    assert high >= 1


@pytest.mark.parametrize("points", [[(0, 0.0)], [(5, -3.0), (6, -3.0)], [(1, 1e-9)], [(1, 1e12), (2, 1.0)]])
@pytest.mark.parametrize("size", [(320, 160), (40, 20), (1, 1)])
def test_odd_values_and_sizes_are_drawn(curve, points, size):
    curve.set_points(points)
    curve.resize(*size)
    assert not curve.grab().isNull()


def test_a_long_training_is_drawn_quickly(curve):
    import time

    curve.set_points([(step, 1 / (1 + step / 1000)) for step in range(50_000)])
    start = time.perf_counter()
    curve.grab()
    assert time.perf_counter() - start < 0.25
    assert curve._axes().path(curve._x, curve._y).elementCount() < 2 * curve.width() + 4


def test_the_curve_follows_the_theme(curve, qapp):
    curve.set_points([(step, 1 / (1 + step)) for step in range(50)])
    assert accent_pixels(curve, LIGHT)
    apply_theme(qapp, "dark")
    assert accent_pixels(curve, DARK)
    assert not accent_pixels(curve, LIGHT)


# ---- histogram


@pytest.fixture
def histogram(qtbot):
    histogram = Histogram()
    qtbot.addWidget(histogram)
    histogram.resize(300, 220)
    counts, edges = np.histogram(np.random.default_rng(0).normal(400, 100, 10_000), 256, (0, 1000))
    histogram.set_histogram(counts, edges)
    histogram.set_levels(200, 800)
    histogram.show()
    QApplication.processEvents()
    return histogram


def drag(qtbot, plot, start, end, *, release=True):
    y = plot.height() - 6
    qtbot.mousePress(plot, Qt.MouseButton.LeftButton, pos=QPoint(round(start), y))
    for share in (0.25, 0.5, 0.75, 1.0):
        qtbot.mouseMove(plot, QPoint(round(start + share * (end - start)), y))
    if release:
        qtbot.mouseRelease(plot, Qt.MouseButton.LeftButton, pos=QPoint(round(end), y))


def test_a_handle_is_dragged(histogram, qtbot):
    live = heard(histogram.levels_changed)
    plot = histogram.plot
    drag(qtbot, plot, plot.x_of(200), plot.x_of(300), release=False)
    assert len(live) >= 3
    low, high, gamma = histogram.levels
    assert low == pytest.approx(300, abs=5)
    assert (high, gamma) == (800, 1)
    assert histogram.low_field.value() == low
    qtbot.mouseRelease(plot, Qt.MouseButton.LeftButton, pos=QPoint(0, 0))
    assert live[-1] == (low, high, gamma)
    drag(qtbot, plot, plot.x_of(800), plot.width() + 500)
    assert histogram.levels[1] == 1000  # not beyond the last value


def test_black_and_white_never_cross(histogram, qtbot):
    plot = histogram.plot
    drag(qtbot, plot, plot.x_of(200), plot.x_of(950))
    low, high, _gamma = histogram.levels
    assert low == high - 1
    histogram.low_field.setValue(900)
    assert histogram.levels[0] == high - 1
    assert histogram.low_field.value() == high - 1


def test_gamma_is_where_middle_grey_is(histogram, qtbot):
    plot = histogram.plot
    assert plot.value_of("gamma") == pytest.approx(500)
    drag(qtbot, plot, plot.x_of(500), plot.x_of(350))
    low, high, gamma = histogram.levels
    assert (low, high) == (200, 800)
    assert gamma < 1
    share = (350 - low) / (high - low)
    assert share**gamma == pytest.approx(0.5, abs=0.02)
    qtbot.mouseDClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(round(plot.x_of(plot.value_of("gamma"))), 90))
    assert histogram.levels[2] == 1


def test_the_fields_say_and_take_the_levels(histogram, qtbot):
    live = heard(histogram.levels_changed)
    field = histogram.high_field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "700")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert live[-1] == (200, 700, 1)
    histogram.gamma_field.setValue(0.5)
    assert live[-1] == (200, 700, 0.5)
    assert [widget.accessibleName() for widget in histogram._fields()] == ["Black", "Gamma", "White"]


def test_the_plot_works_by_keys_alone(histogram, qtbot):
    plot = histogram.plot
    plot.setFocus()
    live = heard(histogram.levels_changed)
    qtbot.keyClick(plot, Qt.Key.Key_Right)
    assert histogram.levels[0] == 210
    qtbot.keyClick(plot, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert histogram.levels[0] == 310
    qtbot.keyClick(plot, Qt.Key.Key_Down)
    qtbot.keyClick(plot, Qt.Key.Key_Left)
    assert histogram.levels[2] < 1
    qtbot.keyClick(plot, Qt.Key.Key_Space)
    qtbot.keyClick(plot, Qt.Key.Key_Left)
    assert histogram.levels[1] == 790
    assert len(live) == 4
    qtbot.keyClick(plot, Qt.Key.Key_Up)
    assert plot.active == "gamma"
    assert "Black 310, white 790" in plot.accessibleDescription()


def test_setting_levels_tells_nobody_and_auto_asks(histogram, qtbot):
    live, auto = heard(histogram.levels_changed), heard(histogram.auto_wanted)
    histogram.set_levels(100, 900, 2.0)
    assert histogram.levels == (100, 900, 2.0)
    assert histogram.gamma_field.value() == 2
    qtbot.mouseClick(histogram.auto_button, Qt.MouseButton.LeftButton)
    assert len(auto) == 1
    assert live == []


def test_levels_are_kept_exactly_and_small_ranges_have_decimals(histogram):
    histogram.set_histogram(np.ones(64), np.linspace(0, 1, 65))
    histogram.set_levels(0.12345, 0.9)
    assert histogram.levels == (0.12345, 0.9, 1.0)
    assert histogram.low_field.value() == pytest.approx(0.123, abs=1e-3)
    histogram.plot.move_to("low", 0.899999)
    assert histogram.levels[0] < 0.9


def test_levels_outside_the_values_are_shown_as_they_are(histogram):
    histogram.set_levels(-50, 4000, 1)
    assert histogram.levels == (-50, 4000, 1)
    assert histogram.low_field.value() == -50
    assert not histogram.grab().isNull()


def test_bars_are_logarithmic(histogram):
    histogram.set_histogram([1_000_000, 10, 0, 0], [0, 1000])
    histogram.set_levels(0, 1000)
    image = histogram.plot.grab().toImage()

    def height(x):
        return sum(image.pixelColor(x, y).lightness() < 180 for y in range(2, histogram.plot.height() - 22))

    tall, low, none = (height(round(histogram.plot.width() * share)) for share in (0.1, 0.4, 0.6))
    assert tall > low > 3
    assert tall / low == pytest.approx(math.log1p(1e6) / math.log1p(10), rel=0.4)
    assert none <= 4  # only the curve


def test_without_an_image_there_is_nothing_to_change(histogram):
    histogram.set_histogram([], [0, 1])
    assert not histogram.isEnabled()
    assert not histogram.grab().isNull()
    histogram.set_histogram([1, 2], [5, 5])  # an image of one value
    assert histogram.isEnabled()
    assert not histogram.grab().isNull()


def test_the_histogram_follows_the_theme(histogram, qapp):
    assert accent_pixels(histogram, LIGHT)
    apply_theme(qapp, "dark")
    assert accent_pixels(histogram, DARK)
