"""What the tests of the published experiments share."""

import paper_archives as mini
import pytest


@pytest.fixture
def small(tmp_path):
    """The archive of StarDist alone, six images."""
    (tmp_path / "archives").mkdir()
    mini.stardist(tmp_path / "archives")
    return tmp_path / "archives", tmp_path / "data"
