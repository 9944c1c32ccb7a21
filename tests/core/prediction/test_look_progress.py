"""What is reported while an image is looked at several times."""

import numpy as np

from cellseg1.model import Model
from cellseg1.prediction import plane
from cellseg1.prediction.candidates import Candidates
from cellseg1.settings import make_settings


def test_the_bar_never_goes_back_whatever_is_looked_at(monkeypatch):
    """Nothing is found at first, so the look from farther away is taken, and one at the scale of what it finds."""
    asked = []

    def answer(_backbone, image, _settings, *, scale, progress, stop):
        asked.append(round(scale, 3))
        for share in (0.5, 1.0):
            progress(share)
        side = 24
        places = [(x, y) for x in (5, 45, 85) for y in (5, 45)] if len(asked) > 1 else []
        return Candidates.from_masks(
            [(np.ones((side, side), bool), place) for place in places],
            image.shape[:2],
            score=[0.9] * len(places),
            stability=[0.9] * len(places),
        )

    monkeypatch.setattr(plane, "find_candidates", answer)
    model = Model(None, None, make_settings("studio", "tiny"), None, 2.0)
    shares = []
    plane.predict_candidates(model, np.zeros((90, 130, 3), np.uint8), progress=shares.append)
    assert asked == [2.0, 0.667, 1.034]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
