import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QLineEdit

from app.theme import apply_theme
from app.widgets.settings.form import TRAIN_GROUPS, SettingsForm
from app.widgets.settings.names import TITLES, group_title, setting_title
from app.widgets.settings.row import parsed, shown
from cellseg1.settings import TABLE, check_value, make_settings

#: The groups of the page Predict.
PREDICT = ("prediction", "selection", "input", "environment")


@pytest.fixture(autouse=True)
def look(qapp):
    apply_theme(qapp, "light")


@pytest.fixture
def form(qtbot):
    form = SettingsForm(TRAIN_GROUPS)
    qtbot.addWidget(form)
    form.resize(272, 800)
    form.show()
    return form


def type_in(qtbot, form, name, text):
    field = form.row(name).field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, text)


def test_every_setting_of_the_groups_has_a_row_and_every_row_a_field(qtbot):
    for groups in (TRAIN_GROUPS, PREDICT):
        form = SettingsForm(groups)
        qtbot.addWidget(form)
        names = [
            name
            for name, item in TABLE.items()
            if item.group in groups and not item.help.startswith("Read for compatibility")
        ]
        for name in names:
            row = form.row(name)
            assert isinstance(row.field, QCheckBox | QComboBox | QLineEdit)
            assert row.field.accessibleName()
            assert name in row.toolTip()
            assert TABLE[name].help in row.help.text()
        assert form.overrides() == {}
        with pytest.raises(KeyError):
            form.row("num_workers")


def test_values_and_defaults_are_those_of_recipe_and_backbone(form):
    base = make_settings()
    row = form.row("epoch_max")
    assert row.field.text() == str(base.training.epoch_max)
    assert f"Default: {base.training.epoch_max}." in row.help.text()
    assert form.row("checkpoint_seconds").label.text().endswith("(s)")
    assert "Default: 30 s." in form.row("checkpoint_seconds").help.text()
    assert form.row("base_lr").field.text() == "0.003"
    assert form.row("scale_limit").field.text() == "-0.3, 0.3"
    assert form.row("resize_size").field.text() == ""
    assert form.row("resize_size").field.placeholderText() == "none"
    assert form.row("input_rule").field.currentData() == "percentile"
    assert form.row("data_augmentation").field.isChecked()
    form.set_base("paper", "vit_h")
    assert form.row("epoch_max").field.text() == "300"
    assert form.row("resize_size").field.text() == "512, 512"
    assert form.overrides() == {}


def test_what_is_entered_is_an_override_until_it_is_the_default_again(form, qtbot):
    changes = []
    form.changed.connect(lambda: changes.append(form.overrides()))
    type_in(qtbot, form, "epoch_max", "40")
    assert form.overrides() == {"epoch_max": 40}
    assert form.value("epoch_max") == 40
    assert form.row("epoch_max").reset_button.isVisible()
    assert changes[-1] == {"epoch_max": 40}
    type_in(qtbot, form, "epoch_max", "12")
    assert form.overrides() == {}
    assert not form.row("epoch_max").reset_button.isVisible()


def test_each_kind_of_field(form, qtbot):
    type_in(qtbot, form, "base_lr", "1e-2")
    type_in(qtbot, form, "scale_limit", "-0,1 0.4".replace(",", "."))
    type_in(qtbot, form, "resize_size", "300, 200")
    form.row("data_augmentation").field.click()
    combo = form.row("precision").field
    combo.setCurrentIndex(combo.findData("float32"))
    combo.activated.emit(combo.currentIndex())
    assert form.overrides() == {
        "base_lr": 0.01,
        "scale_limit": (-0.1, 0.4),
        "resize_size": (300, 200),
        "data_augmentation": False,
        "precision": "float32",
    }
    assert make_settings(overrides=form.overrides()).data.resize_size == (300, 200)
    field = form.row("resize_size").field
    field.clear()
    field.textEdited.emit("")
    assert "resize_size" not in form.overrides()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("batch_size", "0", "at least 1"),
        ("batch_size", "2.5", "whole number"),
        ("batch_size", "many", "whole number"),
        ("base_lr", "", "number"),
        ("base_lr", "nan", "finite"),
        ("scale_limit", "0.5, -0.5", "first value"),
        ("scale_limit", "0.5", "2 numbers"),
        ("sam_image_size", "500", "multiple of 16"),
    ],
)
def test_a_bad_value_is_refused_beside_the_field(form, qtbot, name, text, words):
    field = form.row(name).field
    field.setText(text)
    field.textEdited.emit(text)
    row = form.row(name)
    assert words in row.problem.text()
    assert row.problem.isVisible()
    assert row.field.property("wrong") is True
    assert list(form.problems()) == [name]
    assert form.overrides() == {}
    assert row.field.text() == text  # what was typed is not taken away
    row.reset_button.click()
    assert form.problems() == {}
    assert not row.problem.isVisible()
    assert field.text() == shown(form.value(name))
    assert not row.field.property("wrong")


def test_a_bad_value_does_not_undo_an_earlier_good_one(form, qtbot):
    type_in(qtbot, form, "epoch_max", "40")
    type_in(qtbot, form, "epoch_max", "0")
    assert form.overrides() == {"epoch_max": 40}
    assert form.problems().keys() == {"epoch_max"}
    type_in(qtbot, form, "epoch_max", "50")
    assert form.problems() == {}
    assert form.overrides() == {"epoch_max": 50}


def test_typing_is_not_interrupted(form, qtbot):
    field = form.row("base_lr").field
    field.setFocus()
    field.selectAll()
    for so_far, key in (("0", "0"), ("0.", "."), ("0.0", "0"), ("0.00", "0"), ("0.0050", "50")):
        qtbot.keyClicks(field, key)
        assert field.text() == so_far
    assert form.overrides() == {"base_lr": 0.005}


def test_resetting_one_and_all(qtbot):
    form = SettingsForm(TRAIN_GROUPS, overrides={"epoch_max": 40, "base_lr": 0.01, "nonsense": 1, "batch_size": -4})
    qtbot.addWidget(form)
    assert form.overrides() == {"epoch_max": 40, "base_lr": 0.01}
    form.row("epoch_max").reset_button.click()
    assert form.overrides() == {"base_lr": 0.01}
    assert form.row("epoch_max").field.text() == "12"
    form.reset_all()
    assert form.overrides() == {}
    assert form.row("base_lr").field.text() == "0.003"


def test_own_values_stay_when_the_defaults_change(qtbot):
    form = SettingsForm(TRAIN_GROUPS, overrides={"batch_size": 2, "epoch_max": 300})
    qtbot.addWidget(form)
    form.set_base("studio", "vit_b", {"batch_size": 2})
    assert form.overrides() == {}  # both are the default now, so neither is an override
    form.set_overrides({"batch_size": 8})
    form.set_base("studio", "tiny")
    assert form.overrides() == {"batch_size": 8}
    assert form.row("batch_size").field.text() == "8"


def test_advanced_settings_are_folded_and_counted(form, qtbot):
    assert not form.advanced.is_open
    assert form.row("epoch_max").isVisible()
    assert not form.advanced.is_open
    form.set_overrides({"base_lr": 0.01, "crop_prob": 0.5, "epoch_max": 5})
    assert form.advanced._summary.text() == "2 changed"
    assert form.folds["training"]._summary.text() == "1 changed"
    assert not form.folds["network"]._summary.isVisible()
    assert not form.folds["network"].body.count()  # its rows are made when they are first seen
    form.row("lora_dropout")
    assert form.advanced.is_open
    assert form.folds["network"].is_open


def test_hidden_settings_are_not_in_the_form(qtbot):
    form = SettingsForm(PREDICT, hidden={"pred_iou_thresh"})
    qtbot.addWidget(form)
    with pytest.raises(KeyError):
        form.row("pred_iou_thresh")
    assert form.row("crop_nms_thresh").field.text() == "0.05"


def test_the_form_is_made_quickly_and_fits_a_panel(qtbot):
    start = time.perf_counter()
    form = SettingsForm(TRAIN_GROUPS)
    qtbot.addWidget(form)
    took = time.perf_counter() - start
    for name in TABLE:
        if name in form._all_names():
            form.row(name)
    form.show()
    QApplication.processEvents()
    assert form.minimumSizeHint().width() <= 272
    assert took < 0.5


def test_every_value_survives_being_written_and_read():
    for recipe, backbone in (("paper", "vit_h"), ("studio", "tiny")):
        settings = make_settings(recipe, backbone)
        for name in TABLE:
            value = settings[name]
            if isinstance(value, bool) or name == "selected_gpu":
                continue
            assert check_value(name, parsed(name, shown(value))) == value, name


def test_numbers_as_people_write_them():
    assert parsed("base_lr", " 0,5 ") == 0.5
    assert parsed("epoch_max", "1e2") == 100
    assert parsed("resize_size", "512 \N{MULTIPLICATION SIGN} 384") == [512, 384]
    assert parsed("resize_size", "None") is None


def test_every_setting_that_is_shown_has_a_name_of_its_own():
    shown_groups = {*TRAIN_GROUPS, *PREDICT}
    missing = [
        name
        for name, item in TABLE.items()
        if item.group in shown_groups and name not in TITLES and not item.help.startswith("Read for compatibility")
    ]
    assert missing == []
    assert set(TITLES) <= set(TABLE)
    assert setting_title("a_new_setting") == "A new setting"
    assert group_title("training") == "Training"


def test_labels_lead_to_their_fields(form, qtbot):
    row = form.row("epoch_max")
    assert row.label.buddy() is row.field
    assert row.field.focusPolicy() & Qt.FocusPolicy.TabFocus
