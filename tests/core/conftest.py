"""What the tests of the command share."""

import pytest


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model trained for a moment, as a file."""
    from command import quick_model

    return quick_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def image(tmp_path):
    """The sample's training image, cropped, alone in a folder."""
    from command import IMAGE, crop

    (tmp_path / "in").mkdir()
    return crop(IMAGE, tmp_path / "in" / "cells.png")
