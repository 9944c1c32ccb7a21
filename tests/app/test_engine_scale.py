"""A scale that the user sets goes before the one that the network would look for."""

from app.engine.messages import PredictItem
from cellseg1.prediction import plane


def test_a_scale_set_by_hand_is_used_as_it_is(monkeypatch):
    looked = []
    monkeypatch.setattr(plane, "find_candidates", lambda *_args, scale, **_more: looked.append(scale) or "found")
    monkeypatch.setattr(
        plane, "at_own_scale", lambda find, _select, scale, _target: looked.append(("own", scale)) or "own"
    )
    from types import SimpleNamespace

    import numpy as np

    from cellseg1.settings import make_settings

    model = SimpleNamespace(settings=make_settings(), backbone=None, scale=1.5)
    assert model.settings.prediction.image_scale == "own"
    pixels = np.zeros((20, 30, 3), np.uint8)
    assert plane.predict_candidates(model, pixels) == "own"
    assert plane.predict_candidates(model, pixels, scale=0.7) == "found"
    assert looked == [("own", 1.5), 0.7]
    assert PredictItem("a", None, None, scale=0.7).scale == 0.7


def test_the_bundled_network_alone_is_believed_sooner_than_a_trained_one():
    from app.engine.child.predict import make_model
    from cellseg1.settings import make_settings, untrained_settings

    assert make_model(None, "tiny", "cpu", {}).settings == untrained_settings("tiny") != make_settings()
    assert make_model(None, "tiny", "cpu", {"pred_iou_thresh": 0.9}).settings.selection.pred_iou_thresh == 0.9
