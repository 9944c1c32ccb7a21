import math

import pytest

from cellseg1.cli import main
from cellseg1.errors import SettingsError
from cellseg1.numbers import NumberError, is_begun, read_number, read_numbers
from cellseg1.settings import check_value, parse_assignments


@pytest.mark.parametrize("decimal", [".", ",", "\u066b"])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.65", 0.65),
        ("0,65", 0.65),
        ("0.325", 0.325),
        ("0,325", 0.325),
        (".5", 0.5),
        (",5", 0.5),
        ("5,", 5),
        ("65", 65),
        ("1234567", 1234567),
        ("-0,1", -0.1),
        ("\N{MINUS SIGN}0,1", -0.1),
        ("1,2345", 1.2345),
        ("1234,567", 1234.567),
        ("1,5e-3", 0.0015),
        ("3E-3", 0.003),
        ("1.234,5", 1234.5),
        ("1,234.5", 1234.5),
        ("1,234.567", 1234.567),
        ("1.234.567", 1234567),
        ("1,234,567.5", 1234567.5),
        ("1\N{NARROW NO-BREAK SPACE}234,5", 1234.5),
        ("1\N{NO-BREAK SPACE}234", 1234),
        ("1’234.5", 1234.5),
        ("  0.65 ", 0.65),
        ("\u0660\u066b\u0666\u0665", 0.65),
        ("\uff10\uff0e\uff16\uff15", 0.65),
    ],
)
def test_a_number_is_the_same_in_every_notation(text, value, decimal):
    assert read_number(text, decimal) == value


@pytest.mark.parametrize(
    ("text", "decimal", "value"), [("1.234", ".", 1.234), ("1,234", ",", 1.234), ("-12,345", ",", -12.345)]
)
def test_three_digits_after_the_decimal_mark_of_the_writer(text, decimal, value):
    assert read_number(text, decimal) == value


@pytest.mark.parametrize(("text", "decimal"), [("1,234", "."), ("1.234", ","), ("123,456", "."), ("+1.000", ",")])
def test_what_can_mean_two_numbers_is_refused_with_both(text, decimal):
    with pytest.raises(NumberError, match=r"can mean .* or .*; write one of these") as caught:
        read_number(text, decimal)
    for clear in caught.value.readings:
        assert math.isfinite(read_number(clear, decimal))


def test_whole_numbers_take_no_mark_for_granted():
    for text in ("1.000", "1,000"):
        with pytest.raises(NumberError, match="can mean"):
            read_number(text, whole=True)
    assert read_number("1,000,000", whole=True) == 1_000_000
    assert read_number("12", whole=True) == 12


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        "abc",
        "0,6,5",
        "0.6.5",
        "1.23.456",
        "1,2.3,4",
        "12 34",
        "1 2345",
        "0x10",
        "1_000",
        "650 nm",
        "1.5.",
        "--1",
    ],
)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(NumberError, match="is not a number"):
        read_number(text)


def test_a_number_that_is_being_typed_is_told_from_a_wrong_one():
    assert all(is_begun(text) for text in ("", "-", ",", "-.", "1e", "1,5e-"))
    assert not any(is_begun(text) for text in ("0", "0,", "abc", "e", "1e5"))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.3, 1", [0.3, 1]),
        ("0.3,1.5", [0.3, 1.5]),
        ("0,3; 1,5", [0.3, 1.5]),
        ("0,3 1,5", [0.3, 1.5]),
        ("0,3, 1,5", [0.3, 1.5]),
        ("[512, 256]", [512, 256]),
        ("[512,256]", [512, 256]),
        ("512 x 256", [512, 256]),
        ("512\N{MULTIPLICATION SIGN}256", [512, 256]),
        ("1,2,3", [1, 2, 3]),
        ("", []),
    ],
)
def test_lists_of_numbers(text, values):
    assert read_numbers(text) == values


def test_a_comma_that_ends_a_number_or_is_its_mark_is_refused():
    with pytest.raises(NumberError, match="one number or two"):
        read_numbers("0,3")


def test_settings_on_the_command_line_are_read_in_both_notations(capsys):
    assert parse_assignments(["pred_iou_thresh=0,85"]) == {"pred_iou_thresh": 0.85}
    assert parse_assignments(["target_diameter=32,5"]) == {"target_diameter": 32.5}
    assert check_value("base_lr", "3e-3") == 0.003
    for name in ("neg_area_threshold", "target_diameter"):
        with pytest.raises(SettingsError, match=f"The setting {name} cannot be '1,234': it can mean 1.234 or 1234"):
            parse_assignments([f"{name}=1,234"])
    with pytest.raises(SystemExit):
        main(["evaluate", "--truth", "a", "--pred", "b", "--threshold", "1,234"])
    assert "can mean 1.234 or 1234" in capsys.readouterr().err
    assert main(["evaluate", "--truth", "missing", "--pred", "missing", "--threshold", "0,5"]) == 2
    assert "0,5" not in capsys.readouterr().err
