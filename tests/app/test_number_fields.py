"""Numbers are read in both notations in every field, whatever the language of the system."""

import pytest
from PySide6.QtCore import QLocale, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractSpinBox

from app.pages.annotate.image_dialogs import PixelSizeDialog
from app.preferences.dialog import PreferencesDialog
from app.preferences.store import PreferencesStore
from app.theme import apply_theme
from app.widgets.number_field import NumberField
from app.widgets.plots.histogram import Histogram
from app.widgets.settings.form import TRAIN_GROUPS, SettingsForm
from app.widgets.settings.row import parsed, shown
from app.widgets.slider_field import SliderField

LOCALES = ("C", "en_US", "de_DE", "fr_FR", "sv_SE", "de_CH", "ar_EG", "hi_IN")


@pytest.fixture(params=LOCALES)
def decimal(request, qapp):
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    apply_theme(qapp, "light")
    yield QLocale().decimalPoint()
    QLocale.setDefault(before)


def unclear(decimal):
    """A number with the mark that is not that of the language, before three digits."""
    return "1.234" if decimal == "," else "1,234"


def type_in(qtbot, field, text, *, end=True):
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, text)
    if end:
        qtbot.keyClick(field, Qt.Key.Key_Return)


@pytest.fixture
def show(qtbot):
    def make(widget):
        qtbot.addWidget(widget)
        with qtbot.waitActive(widget):
            widget.show()
        return widget

    return make


def test_the_pixel_size(decimal, show, qtbot):
    for text in ("0.65", "0,65", "0.650", "0,65 µm", "0.65um"):
        dialog = show(PixelSizeDialog(None, (2.0, 3.0)))
        type_in(qtbot, dialog.across, text, end=False)
        dialog.square.setChecked(True)
        assert dialog.pixel_size() == (0.65, 0.65)
        assert dialog.ok.isEnabled()
        dialog.ok.click()
        assert dialog.pixel_size() == (0.65, 0.65)
    for text in ("0.325", "0,325", "0.0002534", "0,0002534"):
        dialog = show(PixelSizeDialog(None, None))
        type_in(qtbot, dialog.across, text, end=False)
        assert dialog.pixel_size() == (float(text.replace(",", ".")),) * 2
        assert dialog.across.cleanText() == text  # nothing is rewritten under the fingers


def test_a_pixel_size_in_another_unit_or_with_an_unclear_mark_is_not_taken(decimal, show, qtbot):
    for text in ("650 nm", "0.6.5", unclear(decimal)):
        dialog = show(PixelSizeDialog(None, (0.5, 0.5)))
        field = dialog.across
        type_in(qtbot, field, text)
        assert dialog.isVisible()  # Return accepts no other number than the one in sight
        assert not dialog.ok.isEnabled()
        assert text in field.hint.text()
        assert field.hint.isVisible()
        assert field.accessibleDescription() == field.hint.text()
        assert field.cleanText() == text
        dialog.square.setFocus()
        assert field.cleanText() == text
        assert not dialog.ok.isEnabled()
        assert field.hint.isVisible()
        field.setFocus()
        type_in(qtbot, field, "0,7", end=False)
        assert dialog.ok.isEnabled()
        assert not field.hint.isVisible()
        assert not field.accessibleDescription()
        assert dialog.pixel_size() == (0.7, 0.7)
        type_in(qtbot, field, "0.5", end=False)
        QGuiApplication.clipboard().setText(text)  # as a whole, so that no part of it was a number
        field.selectAll()
        field.lineEdit().paste()
        assert dialog.pixel_size() == (0.5, 0.5)
        assert not dialog.ok.isEnabled()


def test_the_other_side_of_a_pixel_is_never_left_wrong(decimal, show, qtbot):
    dialog = show(PixelSizeDialog(None, (0.5, 0.25)))
    type_in(qtbot, dialog.down, "much", end=False)
    assert not dialog.ok.isEnabled()
    dialog.square.setChecked(True)
    assert dialog.ok.isEnabled()
    assert dialog.pixel_size() == (0.25, 0.25)


def test_sliders(decimal, show, qtbot):
    for text in ("0.85", "0,85", ".85"):
        field = show(SliderField("Score", 0, 1, 0.01, 2, value=0.5))
        type_in(qtbot, field.spin, text)
        assert field.value == 0.85
        assert field.spin.text() == f"{QLocale().toString(0.85, 'f', 2)}"
    settled = []
    field = show(SliderField("Area", 0, 1e6, 1, 0, "px", value=50))
    field.value_settled.connect(settled.append)
    for text, value in (("1234567", 50), ("12345", 12345), ("12,345.6", 12345), ("1,234,5", 12345), ("200", 200)):
        type_in(qtbot, field.spin, text)
        assert field.value == value
        assert field.spin.hint.isVisible() is (text not in {"12345", "200"})
    assert field.spin.cleanText() == QLocale().toString(200)
    for text in ("1,234", "1.234"):  # a whole number with a mark can mean a thousand times as much
        type_in(qtbot, field.spin, text)
        assert field.value == 200
        assert text in field.spin.hint.text()
    field.set_value(7)
    assert not field.spin.hint.isVisible()
    assert field.spin.readable


def test_contrast(decimal, show, qtbot):
    histogram = show(Histogram())
    histogram.set_histogram([1, 2, 3], (0.0, 1.0))
    histogram.set_levels(0.0, 1.0)
    for text in ("0.25", "0,25"):
        histogram.set_levels(0.0, 1.0)
        type_in(qtbot, histogram.low_field, text)
        assert histogram.levels[0] == 0.25
    type_in(qtbot, histogram.gamma_field, "1,5")
    assert histogram.levels[2] == 1.5
    type_in(qtbot, histogram.gamma_field, "x")
    assert histogram.levels[2] == 1.5
    assert histogram.gamma_field.hint.isVisible()


def test_preferences(decimal, show, qtbot, tmp_path):
    store = PreferencesStore(tmp_path / "preferences.json")
    dialog = show(PreferencesDialog(store))
    for text, value in (("3", 3), ("12", 12), ("2,0", 2), ("4.", 4)):
        type_in(qtbot, dialog.fields["outline_width"], text, end=False)
        qtbot.keyClick(dialog.fields["outline_width"], Qt.Key.Key_Tab)
        assert store.values.outline_width == value
    type_in(qtbot, dialog.fields["outline_width"], "200")
    assert dialog.isVisible()
    assert store.values.outline_width == 4
    assert dialog.fields["outline_width"].hint.isVisible()


def test_settings(decimal, show, qtbot):
    form = show(SettingsForm(TRAIN_GROUPS))
    for text in ("0,01", "0.01", "1e-2", "1,0e-2"):
        form.reset_all()
        type_in(qtbot, form.row("base_lr").field, text)
        assert form.overrides() == {"base_lr": 0.01}
    QGuiApplication.clipboard().setText("1.000")
    form.row("epoch_max").field.selectAll()
    form.row("epoch_max").field.paste()
    assert form.overrides() == {"base_lr": 0.01}
    assert "1000" in form.problems()["epoch_max"]
    assert form.row("epoch_max").problem.isVisible()
    type_in(qtbot, form.row("crop_scale").field, "0,5 0,75")
    assert form.overrides()["crop_scale"] == (0.5, 0.75)
    form.reset("base_lr")
    type_in(qtbot, form.row("neg_area_threshold").field, unclear(decimal))
    assert unclear(decimal) in form.problems()["neg_area_threshold"]


def test_what_is_shown_is_read_again(decimal):
    for name, value in (
        ("base_lr", 1.234),
        ("crop_scale", (0.125, 1.5)),
        ("resize_size", (512, 256)),
        ("epoch_max", 1234),
    ):
        again = parsed(name, shown(value))
        assert again == (list(value) if isinstance(value, tuple) else value)
    field = NumberField(trim=True)
    field.setDecimals(9)
    field.setRange(-1e6, 1e6)
    for value in (1.234, 1234.5, -0.000012, 123456, 100, 0):
        field.setValue(value)
        assert field.valueFromText(field.text()) == value
        assert field.readable


def test_typing_digit_by_digit_pasting_and_stepping(decimal, show, qtbot):
    field = show(NumberField())
    field.setRange(-10, 10)
    field.setDecimals(2)
    field.setSingleStep(0.25)
    heard = []
    field.valueChanged.connect(heard.append)
    field.setFocus()
    field.selectAll()
    for so_far, key, value in (("-", "-", 0), ("-0", "0", 0), ("-0,", ",", 0), ("-0,5", "5", -0.5)):
        qtbot.keyClicks(field, key)
        assert field.text() == so_far
        assert field.value() == value
        assert not field.hint.text()
    assert heard == [-0.5]
    QGuiApplication.clipboard().setText("2.25")
    field.selectAll()
    field.lineEdit().paste()
    assert field.value() == 2.25
    type_in(qtbot, field, "wrong")
    qtbot.keyClick(field, Qt.Key.Key_Up)  # the first step brings the number back
    assert field.value() == 2.25
    assert field.readable
    qtbot.keyClick(field, Qt.Key.Key_Up)
    assert field.value() == 2.5
    type_in(qtbot, field, "", end=False)
    qtbot.keyClick(field, Qt.Key.Key_Backspace)
    assert field.text() == ""
    field.clearFocus()
    assert field.value() == 2.5
    assert field.readable


def test_no_field_is_left_to_qt(qapp):
    """Every spin box of the program is ours, and its hint has a place."""
    from pathlib import Path

    import app

    for path in Path(app.__file__).parent.rglob("*.py"):
        if path.name != "number_field.py":
            text = path.read_text(encoding="utf-8")
            assert "SpinBox(" not in text, path
            assert "DoubleValidator" not in text, path
            if " = NumberField(" in text:
                assert ".hint" in text, path
    assert issubclass(NumberField, QAbstractSpinBox)


def test_the_word_for_the_least_number_is_no_fault(decimal, show, qtbot):
    field = SliderField("Smallest cell", 1, 100, unit="px²", logarithmic=True)
    field.spin.setSpecialValueText("any size")
    show(field)
    assert field.spin.text() == "any size"
    assert field.spin.readable
    assert not field.spin.hint.isVisible()
    type_in(qtbot, field.spin, "12")
    assert field.value == 12
    type_in(qtbot, field.spin, "any size")
    assert field.value == 1
    assert field.spin.readable
    type_in(qtbot, field.spin, "no size")
    assert field.spin.hint.isVisible()
    assert field.value == 1
