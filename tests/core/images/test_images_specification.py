"""What of an image the network sees: chosen once, stored, checked in every other image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cellseg1.errors import ImageError, SettingsError
from cellseg1.images import Image, ImageInfo, InputRule, InputSpecification, PlaneChoice, parse_channels, plane_input
from cellseg1.images.specification import Channel

PLAIN = InputSpecification(InputRule("percentile"))


def picture(*levels: int, names: tuple[str, ...] = (), axes: str = "CYX", path: str = "a.tif") -> Image:
    """Return an image of 20 x 33 pixels whose channel c is a ramp up to ``levels[c]`` (0: empty)."""
    ramp = np.linspace(0, 1, 20 * 33).reshape(20, 33)
    # Every channel rises along another way, so that channels can be told apart after scaling.
    array = np.stack([np.roll(ramp * level, c * 7, axis=1).astype(np.uint16) for c, level in enumerate(levels)])
    if axes == "YX":
        array = array[0]
    elif axes == "YXS":
        array = np.moveaxis(array, 0, 2)
    elif axes == "ZCYX":
        array = np.stack([array, np.zeros_like(array), array // 2])
    return Image(array, ImageInfo(Path("/data") / path, "TIFF", axes, array.shape, "uint16", names))


def seen(image: Image, specification: InputSpecification, **plane: int) -> np.ndarray:
    return plane_input(image, specification, **plane).pixels


def test_channels_of_the_training_are_used_where_an_image_has_an_empty_one() -> None:
    training = picture(900, 800, 700, 600)
    specification = PLAIN.settled(training)
    assert specification.channels == (Channel("", 0), Channel("", 1), Channel("", 2))
    other = picture(0, 800, 700, 600)
    pixels = seen(other, specification)
    assert not pixels[..., 0].any()
    np.testing.assert_array_equal(pixels[..., 1], seen(training, specification)[..., 1])
    # What was done before: the first three that are not empty, another choice than the training's.
    assert seen(other, PLAIN)[..., 0].any()


def test_the_choice_is_said_with_names() -> None:
    image = picture(0, 900, 800, 0, 700, names=("a", "DAPI", "GFP", "d", "RFP"))
    note = plane_input(image, PLAIN).notes[0]
    assert note.startswith("The image has 5 channels; DAPI, GFP, RFP are used as red, green and blue.")
    assert PLAIN.settled(image).channels == (Channel("DAPI", 1), Channel("GFP", 2), Channel("RFP", 4))
    assert plane_input(image, PLAIN.settled(image)).notes == ()


@pytest.mark.parametrize("axes", ["YX", "YXS"])
def test_grey_and_colour_pictures_leave_nothing_to_choose(axes: str) -> None:
    image = picture(900, 800, 700, axes=axes)
    assert PLAIN.settled(image) == PLAIN
    assert plane_input(image, PLAIN).notes == ()


def test_names_come_before_numbers() -> None:
    image = picture(900, 800, 700, 600, names=("GFP", "dapi", "2", "RFP"))
    assert PLAIN.with_channels("DAPI,3").indices_in(image)[0] == (1, 3)
    assert PLAIN.with_channels(["2"]).indices_in(image)[0] == (2,)
    assert PLAIN.with_channels(("RFP", 0)).indices_in(image)[0] == (3, 0)
    renumbered = picture(900, 800, 700, 600, names=("2", "x", "y", "z"))
    assert PLAIN.with_channels("2").indices_in(renumbered)[0] == (0,)
    np.testing.assert_array_equal(
        seen(image, PLAIN.with_channels("3"))[..., 0], seen(image, PLAIN.with_channels("3"))[..., 2]
    )


def test_accents_of_names_may_be_stored_in_two_ways() -> None:
    one, two = "Mémbrane", "Me\u0301mbrane"
    assert one != two
    for wish, name in ((one, two), (two, one)):
        image = picture(900, 800, 700, 600, names=("a", "b", "c", name))
        specification = PLAIN.with_channels([wish])
        assert specification.indices_in(image) == ((3,), ())
        settled = specification.settled(image)
        again = InputSpecification.from_dict(settled.to_dict())
        assert again.indices_in(picture(900, 800, 700, 600, names=("a", "b", "c", wish))) == ((3,), ())
    stored = {**PLAIN.to_dict(), "channels": [{"name": two, "index": 3}]}
    assert InputSpecification.from_dict(stored).channels == (Channel(one, 3),)
    with pytest.raises(SettingsError, match="hold one twice"):
        parse_channels([one, two])


def test_a_channel_that_moved_is_found_by_its_name() -> None:
    training = picture(900, 800, 700, 600, names=("DAPI", "GFP", "RFP", "Cy5"))
    specification = PLAIN.with_channels("DAPI").settled(training)
    other = picture(600, 900, names=("GFP", "DAPI"))
    chosen, notes = specification.indices_in(other)
    assert chosen == (1,)
    assert notes == ("DAPI is channel 1 here.",)


def test_an_image_without_names_is_taken_by_number() -> None:
    specification = PLAIN.with_channels("RFP").settled(picture(9, 8, 7, 6, names=("DAPI", "GFP", "RFP", "Cy5")))
    chosen, notes = specification.indices_in(picture(9, 8, 7, 6))
    assert chosen == (2,)
    assert "taken for RFP" in notes[0]


@pytest.mark.parametrize(
    ("wish", "names", "text"),
    [
        ("5", (), "has no channel 5; its channels are 0, 1, 2, 3"),
        ("DAPI", ("a", "b", "c", "d"), r"has no channel DAPI; its channels are 0 \(a\), 1 \(b\)"),
        ("DAPI", (), "has no channel DAPI"),
        ("0,1,4", (), "has no channel 4"),
    ],
)
def test_a_channel_that_is_not_there_is_refused(wish: str, names: tuple[str, ...], text: str) -> None:
    with pytest.raises(ImageError, match=f"a.tif {text}"):
        plane_input(picture(9, 8, 7, 6, names=names), PLAIN.with_channels(wish))


def test_a_stored_channel_under_another_name_is_refused() -> None:
    training = picture(9, 8, 7, 6, names=("DAPI", "GFP", "RFP", "Cy5"))
    by_hand = PLAIN.with_channels("DAPI").settled(training)
    with pytest.raises(ImageError, match="has no channel DAPI"):
        by_hand.indices_in(picture(9, 8, names=("GFP", "RFP")))
    # Chosen by the program: some of the names are known, so the missing one is another stain.
    with pytest.raises(ImageError, match="has no channel DAPI"):
        PLAIN.settled(training).indices_in(picture(9, 8, 7, 6, names=("Hoechst", "GFP", "RFP", "Cy5")))
    # No name is known: the same channels under other names, by number, and said.
    chosen, notes = PLAIN.settled(training).indices_in(picture(9, 8, 7, names=("c1", "c2", "c3")))
    assert chosen == (0, 1, 2)
    assert "Channel 0 is called c1 here; it is taken for DAPI." in notes


def test_a_grey_picture_for_a_model_of_several_channels() -> None:
    specification = PLAIN.settled(picture(9, 8, 7, 6))
    chosen, notes = specification.indices_in(picture(900, axes="YX"))
    assert chosen is None
    assert "one channel" in notes[0]
    with pytest.raises(ImageError, match="has no channel 1"):
        PLAIN.with_channels("0,1").indices_in(picture(900, axes="YX"))


def test_any_number_of_channels_when_they_are_named() -> None:
    image = picture(*([0] * 39), 900)
    with pytest.raises(ImageError, match="40 channels, which is more likely a stack"):
        plane_input(image, PLAIN)
    assert seen(image, PLAIN.with_channels("39")).max() == 255
    assert PLAIN.with_channels([39, 0]).settled(image).channels == (Channel("", 39), Channel("", 0))


def test_every_plane_of_a_stack_shows_the_same_channels() -> None:
    stack = picture(900, 0, 800, 700, axes="ZCYX")
    assert PLAIN.indices_in(stack)[0] == (0, 2, 3)
    middle = plane_input(stack, PLAIN, z=1)
    assert not middle.pixels.any()
    assert middle.notes == plane_input(stack, PLAIN, z=0).notes


def test_the_specification_goes_through_a_dictionary() -> None:
    rule = InputRule("percentile", 1, 99, "leave_out", ((0.0, 4000.0),))
    whole = InputSpecification(rule, (Channel("DAPI", 2), Channel("", 0)), by_hand=True, planes=((3, 0),))
    assert InputSpecification.from_dict(whole.to_dict()) == whole
    assert InputSpecification.from_dict(PLAIN.to_dict()) == PLAIN
    for bad in (
        {},
        {"intensity": {"kind": "magic"}},
        {"intensity": None},
        {"intensity": rule.to_dict(), "channels": [{}]},
        {"intensity": rule.to_dict(), "channels": [{"index": -1}]},
        {"intensity": rule.to_dict(), "channels": []},
        {"intensity": rule.to_dict(), "channels": [{"index": 1}] * 4},
        {"intensity": rule.to_dict(), "channels": 3},
        {"intensity": rule.to_dict(), "planes": [[1]]},
        {"intensity": rule.to_dict(), "planes": [[float("inf"), 0]]},
        {"intensity": rule.to_dict(), "channels": [{"index": float("inf")}]},
        {"intensity": {"kind": "percentile", "low": 10**400}},
        {"intensity": {"kind": "percentile", "ranges": [[0, 10**400]]}},
    ):
        with pytest.raises(SettingsError):
            InputSpecification.from_dict(bad)


@pytest.mark.parametrize("bad", ["", "a,b,c,d", "-1", ",", "0,0", [True], [1.5], []])
def test_wishes_that_are_no_channels(bad: object) -> None:
    with pytest.raises(SettingsError):
        parse_channels(bad)  # type: ignore[arg-type]


def test_names_with_commas_are_quoted() -> None:
    names = ("GFP", "DAPI, nuclei", "", '5" disc')
    image = picture(900, 800, 700, 600, names=names)
    for wish, found in (
        ('"DAPI, nuclei"', (1,)),
        (' "dapi, nuclei" ,2', (1, 2)),
        ('GFP,"DAPI, nuclei",3', (0, 1, 3)),
        ('5" disc,gfp', (3, 0)),
        (["DAPI, nuclei", 0], (1, 0)),
    ):
        assert PLAIN.with_channels(wish).indices_in(image)[0] == found
    with pytest.raises(ImageError, match=r'its channels are 0 \(GFP\), 1 \("DAPI, nuclei"\), 2, 3 \('):
        PLAIN.with_channels("DAPI").indices_in(image)


def test_planes_are_chosen() -> None:
    stack = picture(9, 8, axes="ZCYX")
    assert PlaneChoice.parse("z=2").of(stack) == [(2, 0)]
    assert PlaneChoice.parse({"t": 0}).of(stack) == [(0, 0), (1, 0), (2, 0)]
    assert PlaneChoice.parse(None).of(stack) == [(0, 0), (1, 0), (2, 0)]
    assert PlaneChoice.parse(" Z = 1 , t=0").of(stack) == [(1, 0)]
    with pytest.raises(ImageError, match="no plane z = 3: choose a number from 0 to 2"):
        PlaneChoice.parse("z=3").of(stack)
    for bad in ("", "3", "z", "z=-1", "z=1,z=2", "c=1", "z=x", "z=1.5", "z=" + "9" * 400, {}):
        with pytest.raises(SettingsError):
            PlaneChoice.parse(bad)
