"""The table of settings: upstream's keys and defaults, its YAML files, checks, recipes, help."""

import json
import math
import time
from pathlib import Path

import pytest
import yaml

from cellseg1 import plain_yaml
from cellseg1.errors import SettingsError
from cellseg1.lora.card import Card
from cellseg1.sam.backbones.tiny import TINY
from cellseg1.sam.device import flushed_denormals
from cellseg1.settings import (
    CPU_PRESET,
    GROUPS,
    RECIPES,
    TABLE,
    Settings,
    backbone_settings,
    check_value,
    find_row,
    help_table,
    load_yaml,
    make_settings,
    memory_preset,
    parse_assignments,
    settings_from_dict,
    untrained_settings,
)
from cellseg1.settings.groups import Data, Input, Training

#: The keys and defaults of the research code's example configuration.
UPSTREAM = {
    "deterministic": True,
    "allow_tf32_on_matmul": True,
    "allow_tf32_on_cudnn": True,
    "seed": 0,
    "vit_name": "vit_h",
    "resize_size": (512, 512),
    "patch_size": 256,
    "sam_image_size": 512,
    "train_id": (0, 1, 2, 3, 4),
    "duplicate_data": 32,
    "epoch_max": 300,
    "batch_size": 4,
    "gradient_accumulation_step": 8,
    "base_lr": 3e-3,
    "onecycle_lr_pct_start": 0.3,
    "num_workers": 4,
    "image_encoder_lora_rank": 4,
    "mask_decoder_lora_rank": 4,
    "lora_dropout": 0.1,
    "freeze_image_encoder": True,
    "freeze_prompt_encoder": True,
    "freeze_mask_decoder_transformer": True,
    "freeze_upscaling_cnn": True,
    "freeze_output_hypernetworks_mlps": True,
    "freeze_mask_decoder_mask_tokens": True,
    "freeze_mask_decoder_iou": True,
    "pos_rate": 1.0,
    "neg_rate": 0.5,
    "max_point_num": 30,
    "edge_distance": 20,
    "neg_area_ratio_threshold": 5.0,
    "neg_area_threshold": 1000.0,
    "min_cell_area": 100,
    "foreground_sample_area_ratio": 0.2,
    "background_sample_area_ratio": 0.2,
    "foreground_equal_prob": True,
    "background_equal_prob": True,
    "data_augmentation": True,
    "bright_limit": 0.1,
    "contrast_limit": 0.1,
    "bright_prob": 0.5,
    "flip_prob": 0.75,
    "rotate_prob": 0.8,
    "scale_limit": (-0.5, 0.5),
    "crop_prob": 0.5,
    "crop_scale": (0.3, 1.0),
    "crop_ratio": (0.75, 1.3333),
    "ce_loss_weight": 1.0,
    "punish_background_point": False,
    "crop_n_layers": 1,
    "crop_n_points_downscale_factor": 1,
    "points_per_side": 32,
    "points_per_batch": 64,
    "max_mask_region_area_ratio": 0.1,
    "min_mask_region_area": 20,
    "box_nms_thresh": 0.05,
    "crop_nms_thresh": 0.05,
    "pred_iou_thresh": 0.8,
    "stability_score_thresh": 0.6,
    "stability_score_offset": 0.8,
    "track_gpu_memory": False,
}
#: Keys without a default of their own: paths, and what the paper's scripts and the research GUI add.
OTHER = {
    "model_path": "sam/sam_vit_h.pth",
    "data_dir": "data",
    "result_pth_path": "out/lora.pth",
    "train_image_dir": "data/images",
    "train_mask_dir": "data/masks",
    "method_name": "cellseg1",
    "dataset_name": "cellpose",
    "train_num": 1,
    "result_dir": "out",
    "selected_gpu": 0,
    "image_paths": "data/test",
    "output_dir": "out/masks",
}


def test_every_upstream_key_has_its_default():
    values = Settings().flat()
    assert {key: values[key] for key in UPSTREAM} == UPSTREAM
    assert {key for key in OTHER if values[key] is not None} == set()
    assert make_settings("paper", "vit_h") == Settings()


def test_a_file_with_all_upstream_keys_loads(tmp_path):
    path = tmp_path / "ö config.yaml"
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in UPSTREAM.items()}
    path.write_text(yaml.safe_dump({**plain, **OTHER}) + "# written as the published files do\n", encoding="utf-8")
    assert load_yaml(path) == {**UPSTREAM, **OTHER}
    path.write_text("base_lr: 3e-3\nvit_name: default\ntrain_id: null\nselected_gpu: cuda:1\n")
    assert load_yaml(path) == {"base_lr": 0.003, "vit_name": "default", "train_id": None, "selected_gpu": "cuda:1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochmax: 3", "no setting 'epochmax'; did you mean 'epoch_max'?"),
        ("epoch_max: [3]", "epoch_max cannot be"),
        ("epoch_max: 0", "at least 1"),
        ("a: b: c", "is not valid YAML"),
        ("seed: 2024-99-99", "must be a whole number"),
        ("seed: 1\nseed: 2", "'seed' stands in it twice"),
        ("a: &x [1]\nseed: *x", "aliases"),
        ("train_id: [[[[[[1]]]]]]", "lists go too deep"),
        ("seed: " + "9" * 5000, "a number of 5000 digits"),
        ("seed: " + "9" * 400, "a number of more than 399 digits"),
        ("base_lr: " + "9" * 400, "a finite number"),
        ("seed: !!bool maybe", "a value that is not what it is called"),
        ("seed: !!timestamp x", "a value that is not what it is called"),
        ("? [1, 2]\n: 3", "is not valid YAML"),
        ("? {a: 1}\n: 3", "is not valid YAML"),
        ("input_low: 50\ninput_high: 50", "must be below input_high"),
        ("? " + "a" * 100_000 + "\n: 1", "no setting 'aaaa"),
        ("#" * 300_000, "more than 200,000 bytes"),
        ("- 1", "must hold lines of the form"),
        ("", "must hold lines of the form"),
        ("\ufffe", "is not valid YAML"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, said):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfe\xfa" if text == "\ufffe" else text.encode())
    with pytest.raises(SettingsError, match=r"config\.yaml") as caught:
        load_yaml(path)
    assert said in str(caught.value)
    with pytest.raises(SettingsError, match="Check its name"):
        load_yaml(tmp_path / "missing.yaml")


def test_many_names_take_time_in_proportion():
    def seconds(count):
        data = "".join(f"n{number:x}:\n" for number in range(count)).encode()
        began = time.process_time()
        assert len(plain_yaml.load(data)) == count
        return time.process_time() - began

    seconds(10)
    assert seconds(24_000) < 25 * seconds(3_000)


@pytest.mark.parametrize("value", [None, 0, -1, [0, 0], [-1, -1], [512, 0], 0.0])
def test_no_resizing(value):
    assert check_value("resize_size", value) is None
    assert parse_assignments([f"resize_size={'none' if value is None else value}"]) == {"resize_size": None}


@pytest.mark.parametrize("value", [None, 0, -1, -256])
def test_no_tiles(value):
    assert check_value("patch_size", value) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("base_lr=3e-3", 0.003),
        ("base_lr=1", 1.0),
        ("epoch_max=30.0", 30),
        ("resize_size=[100, 200]", (100, 200)),
        ("train_id=[7]", (7,)),
        ("train_id=[]", ()),
        ("train_id=none", None),
        ("train_id=None", None),
        ("crop_scale=[1e-1, 1]", (0.1, 1.0)),
        ("deterministic=false", False),
        ("max_area=null", None),
        (" max_area = 12 ", 12),
        ("precision=auto", "auto"),
        ("model_path=/a b=c.pth", "/a b=c.pth"),
        ("selected_gpu=cuda:0", "cuda:0"),
        ("selected_gpu=1", 1),
        # No number is rescaled on its way: octal and base 60 are of an older YAML.
        ("epoch_max=010", 10),
        ("seed=+7", 7),
        ("base_lr=1E-2", 0.01),
        ("base_lr=.5", 0.5),
        ("scale_limit=[-.5, 0.5]", (-0.5, 0.5)),
    ],
)
def test_assignments(text, value):
    name = text.partition("=")[0].strip()
    result = parse_assignments([text])
    assert result == {name: value}
    assert type(result[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch_max", True),
        ("epoch_max", 2.5),
        ("epoch_max", "3"),
        ("epoch_max", None),
        ("epoch_max", math.inf),
        ("epoch_max", math.nan),
        ("epoch_max", 10**6),
        ("base_lr", "quick"),
        ("base_lr", 0),
        ("base_lr", True),
        ("base_lr", "nan"),
        ("neg_area_threshold", math.inf),
        ("neg_area_threshold", "inf"),
        ("deterministic", 1),
        ("deterministic", "yes"),
        ("resize_size", [512]),
        ("resize_size", [512, 512, 3]),
        ("resize_size", [512, "x"]),
        ("resize_size", []),
        ("resize_size", 512),
        ("resize_size", False),
        ("patch_size", "all"),
        ("train_id", 3),
        ("train_id", [0.5]),
        ("crop_scale", [1.0, 0.3]),
        ("crop_scale", [0.0, 0.3]),
        ("scale_limit", [-1.0, 0.5]),
        ("vit_name", "vit_x"),
        ("tile_size", 100),
        ("sam_image_size", 32),
        ("accumulation", "broken"),
        ("lora_dropout", 1.0),
        ("model_path", 3),
        ("seed", -1),
        ("seed", 2**70),
        ("seed", 10**400),
        ("max_area", 10**400),
        ("min_cell_area", 2**31),
        ("neg_area_threshold", 1e300),
        ("resize_size", [10**9, 10**9]),
        ("patch_size", 3),
        ("patch_size", 10**6),
        ("duplicate_data", 10**7),
        ("vit_name", [1]),
        ("vit_name", {}),
        ("seed", "1:30"),
        ("seed", "0x10"),
    ],
)
def test_values_that_are_refused(name, value):
    with pytest.raises(SettingsError) as caught:
        check_value(name, value)
    text = str(caught.value)
    assert text.startswith(f"The setting {name} cannot be ")
    assert "it must be" in text or "must not exceed" in text
    assert text.endswith(".")
    group = type(getattr(Settings(), TABLE[name].group))
    for make in (group, Settings().replace):
        with pytest.raises(SettingsError):
            make(**{name: value})


def test_what_does_not_fit_together():
    with pytest.raises(SettingsError, match="input_low"):
        Input(input_low=50.0, input_high=50.0)
    with pytest.raises(SettingsError, match=r"vit_name is vit_b but the backbone is tiny"):
        make_settings(overrides={"vit_name": "vit_b"})
    assert make_settings("paper", "vit_h", {"vit_name": "default"}).files.vit_name == "vit_h"
    assert Data(resize_size=[20, 30]).resize_size == (20, 30)
    assert Training(base_lr="1e-3").base_lr == 0.001
    with pytest.raises(SettingsError, match="no setting 'sed'"):
        Settings().replace(sed=1)


def test_a_file_may_have_groups(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("epoch_max: 3\npoints:\n  pos_rate: 0.5\n  max_point_num: 7\ninput: {input_range: [1, 9]}\n")
    assert load_yaml(path) == {"epoch_max": 3, "pos_rate": 0.5, "max_point_num": 7, "input_range": (1.0, 9.0)}
    for text, said in (
        ("points: {epoch_max: 3}", "epoch_max belongs to the group training"),
        ("points: {pos_rat: 3}", "no setting 'points.pos_rat'"),
        ("points: 3", "The group of settings points cannot be 3"),
        ("pos_rate: 0.1\npoints: {pos_rate: 0.2}", "pos_rate is given twice"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError, match=said):
            load_yaml(path)


def test_a_setting_may_be_written_with_its_group():
    assert parse_assignments(["points.pos_rate=0.5", "training.epoch_max = 3"]) == {"pos_rate": 0.5, "epoch_max": 3}
    with pytest.raises(SettingsError, match="pos_rate belongs to the group points"):
        parse_assignments(["training.pos_rate=0.5"])
    with pytest.raises(SettingsError, match=r"no setting 'points\.pos_rat'"):
        parse_assignments(["points.pos_rat=0.5"])
    changed = Settings().replace(**{"points.pos_rate": 0.5})
    assert (changed.points.pos_rate, changed["pos_rate"], changed.flat()["pos_rate"]) == (0.5, 0.5, 0.5)
    assert settings_from_dict({"points": {"pos_rate": 0.5, "newer": 1}, "newer": {}}) == changed


def test_every_setting_is_in_the_group_that_its_row_names():
    assert set(GROUPS) == {row.group for row in TABLE.values()}
    for name, row in TABLE.items():
        assert Settings()[name] == getattr(getattr(Settings(), row.group), name) == row.default
        assert find_row(f"{row.group}.{name}") is row


@pytest.mark.parametrize(("key", "backbone"), [("tiny", "tiny"), ("vit_h", "vit_h")])
def test_cards_with_flat_settings_give_the_same_settings(key, backbone):
    """Cards as models held them before there were groups."""
    stored = json.loads((Path(__file__).parents[1] / "golden" / "cards_with_flat_settings.json").read_text())[key]
    card = Card.from_dict(stored["card"], stored["schema"])
    settings = settings_from_dict(card.settings)
    assert settings.to_dict() == card.settings
    changes = {
        "tiny": {"seed": 7, "scale_limit": (-0.2, 0.2), "max_area": 5000, "input_range": (10.0, 400.0)},
        "vit_h": {"train_id": (0, 2), "resize_size": None, "selected_gpu": "cuda:1"},
    }
    assert settings == make_settings(card.recipe, backbone, changes[key])


def test_a_small_file_cannot_take_long(tmp_path):
    names = [f"a{number}: &x{number} [{', '.join([f'*x{number - 1}'] * 9)}]" for number in range(1, 30)]
    nested = "train_id: " + "[" * 50_000
    for text in ("x0: &x0 [1]\n" + "\n".join(names), nested, "{" * 50_000, "seed: " + "!!python/object:os.system " * 9):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        with pytest.raises(SettingsError, match="is not valid YAML"):
            load_yaml(path)
        with pytest.raises(SettingsError):
            parse_assignments([f"seed={text}"])


def _text(value):
    return str(list(value) if isinstance(value, tuple) else value).lower()


def test_what_does_nothing_is_not_offered():
    told = help_table({item.group for item in TABLE.values()}, use="predict")
    for name in (
        "deterministic",
        "allow_tf32_on_matmul",
        "seed",
        "epoch_max",
        "patch_size",
        "box_nms_thresh",
        "tile_starts",
    ):
        assert f"  {name}\n" not in told
        with pytest.raises(SettingsError, match=f"{name} does nothing in a prediction"):
            parse_assignments([f"{name}={_text(TABLE[name].default)}"], "predict")
    for name in ("precision", "input_rule", "pred_iou_thresh", "assemble", "resize_size"):
        assert f"  {name}\n" in told
        assert parse_assignments([f"{name}={_text(TABLE[name].default)}"], "predict")


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name].told.gt == 0])
def test_zero_is_refused_also_where_denormals_are_flushed(name):
    value = [0.0, 0.5] if isinstance(TABLE[name].default, tuple) else 0.0
    with flushed_denormals(), pytest.raises(SettingsError, match=f"{name} cannot be"):
        check_value(name, value)


@pytest.mark.parametrize("name", TABLE)
def test_the_limits_of_each_range_hold(name):
    told, default = TABLE[name].told, TABLE[name].default
    if told.ge is told.gt is told.le is None:
        return
    several = isinstance(default, tuple)
    for limit, allowed, step in (("ge", True, -1), ("gt", False, -1), ("le", True, 1)):
        edge = getattr(told, limit)
        if edge is None:
            continue
        inside, outside = (edge, edge + step) if allowed else (edge + 0.01, edge)
        assert check_value(name, [inside] * 2 if several else inside) is not None
        with pytest.raises(SettingsError, match=f"{name} cannot be"):
            check_value(name, [outside] * 2 if several else outside)


def test_unknown_settings_have_a_hint():
    with pytest.raises(SettingsError, match="did you mean 'pred_iou_thresh'"):
        check_value("pred_iou_tresh", 1)
    with pytest.raises(SettingsError, match="--help"):
        check_value("", 1)
    with pytest.raises(SettingsError, match="write it as name=value"):
        parse_assignments(["epoch_max"])


def test_the_studio_recipe_flips_every_switch():
    switches = [name for name, item in TABLE.items() if item.group == "switches"]
    assert len(switches) >= 15
    paper, studio = make_settings("paper", "vit_b"), make_settings("studio", "vit_b")
    for name in switches:
        assert (paper[name], studio[name]) == ("upstream", "repaired"), name
    assert RECIPES["paper"] == {}
    assert (studio.data.resize_size, studio.data.train_id, studio.input.input_rule) == (None, None, "percentile")
    with pytest.raises(SettingsError, match="choose one of paper, studio"):
        make_settings("fast")


def test_later_layers_win():
    ours = backbone_settings("studio", "tiny")
    assert make_settings().training.epoch_max == ours["epoch_max"] != Settings().training.epoch_max
    assert make_settings(preset={"batch_size": 2}).training.batch_size == 2
    assert make_settings(preset={"batch_size": 2}, overrides={"batch_size": 3}).training.batch_size == 3
    assert make_settings("paper", "vit_l").files.vit_name == "vit_l"
    for table in (*RECIPES.values(), TINY.settings["studio"], CPU_PRESET):
        for name, value in table.items():
            assert check_value(name, value) == value


def test_help_mentions_every_setting():
    groups = {item.group for item in TABLE.values()}
    text = help_table(groups)
    lines = text.splitlines()
    flat = " ".join(text.split())
    shown = make_settings()
    for name, item in TABLE.items():
        assert f"  {name}" in lines
        assert item.help.strip()
        assert item.help in flat, name
        value = shown[name]
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            unit = f" {item.unit}" if item.unit else ""
            assert f"[{value}{unit}; " in flat, name
    assert "[none px²; " in flat
    assert max(map(len, lines)) <= 110
    assert help_table(["log"], Settings()).startswith("log:")


@pytest.mark.parametrize("settings", [Settings(), make_settings(), make_settings("studio", "vit_h")])
def test_round_trip(settings):
    values = json.loads(json.dumps(settings.to_dict(), allow_nan=False))
    assert settings_from_dict(values) == settings
    assert settings_from_dict({**values, "key_of_a_newer_version": 1}) == settings
    del values["seed"]
    assert settings_from_dict(values).environment.seed == Settings().environment.seed
    with pytest.raises(AttributeError):
        settings.environment.seed = 1
    with pytest.raises(AttributeError):
        settings.points = settings.points


@pytest.mark.parametrize(
    ("free", "name", "batch", "accumulation", "recompute"),
    [
        (80.0, "24 GB", 4, 8, False),
        (22.0, "24 GB", 4, 8, False),
        (21.9, "12 GB", 2, 16, False),
        (12.0, "12 GB", 2, 16, False),
        (11.9, "8 GB", 1, 32, False),
        (6.0, "8 GB", 1, 32, False),
        (5.9, "small", 1, 32, True),
        (0.0, "small", 1, 32, True),
        (None, "CPU", 1, 32, False),
    ],
)
def test_presets_by_free_memory(free, name, batch, accumulation, recompute):
    told, preset = memory_preset(free, "vit_h")
    settings = make_settings("studio", "vit_h", None, preset)
    assert told == name
    assert settings.training.batch_size * settings.training.gradient_accumulation_step == 32
    assert (settings.training.batch_size, settings.training.gradient_accumulation_step) == (batch, accumulation)
    assert settings.training.gradient_checkpointing is recompute
    assert memory_preset(free, "tiny")[1] == {}


def test_a_backbone_that_was_not_trained_is_believed_sooner():
    trained, plain = make_settings("studio", "tiny"), untrained_settings("tiny")
    assert plain.selection.pred_iou_thresh < trained.selection.pred_iou_thresh
    assert plain.replace(**{key: trained[key] for key in TINY.untrained}) == trained
    assert untrained_settings("tiny", {"pred_iou_thresh": 0.9}).selection.pred_iou_thresh == 0.9
    assert untrained_settings("vit_b") == make_settings("studio", "vit_b")
