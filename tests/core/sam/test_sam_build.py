import subprocess
import sys

import numpy as np
import pytest
import torch
from golden_models import pixels, rule_state, small_sam, small_shape

from cellseg1.errors import BackboneError, SettingsError
from cellseg1.sam import backbone_names, device, registry
from cellseg1.sam.build import build_backbone
from cellseg1.sam.interface import Embedding
from cellseg1.sam.model import SamModel
from cellseg1.sam.shapes import VIT_SHAPES
from cellseg1.sam.weights import build_from_shape, read_weights


@pytest.fixture(scope="module")
def state():
    return {key: value.clone() for key, value in small_sam(lora=False).state_dict().items()}


@pytest.fixture(scope="module")
def weights_file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(state, path)
    return path


def test_registry_and_store_need_no_torch():
    code = (
        "import sys, cellseg1.sam, cellseg1.sam.registry, cellseg1.sam.store, cellseg1.sam.fetch, cellseg1.lora, "
        "cellseg1.lora.card, cellseg1.lora.header; cellseg1.sam.list_backbones, cellseg1.sam.download; "
        "assert callable(cellseg1.sam.download); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_exists():
    import cellseg1.lora
    import cellseg1.sam

    for module in (cellseg1.lora, cellseg1.sam):
        for name in module.__all__:
            assert getattr(module, name) is not None
        with pytest.raises(AttributeError):
            _ = module.nonsense


def test_same_size_is_untouched(state, weights_file):
    sam = build_from_shape(small_shape(), 256, weights_file)
    assert not sam.training
    found = sam.state_dict()
    assert list(found) == list(state)
    assert all(torch.equal(found[key], state[key]) for key in state)
    assert sam.device_of() == torch.device("cpu")


@pytest.mark.parametrize("size", [128, 512])
def test_other_sizes_are_interpolated_like_the_research_code(state, weights_file, size):
    sam = build_from_shape(small_shape(), size, weights_file)
    found, grid = sam.state_dict(), size // 16
    changed = {key for key in state if found[key].shape != state[key].shape}
    tables = [f"image_encoder.blocks.{block}.attn.rel_pos_{axis}" for block in (1, 3) for axis in "hw"]
    assert changed == {"image_encoder.pos_embed", *tables}
    # Independent computation, in float64: sample at evenly spaced places, both ends included.
    where = np.linspace(0, 15, grid)
    position = state["image_encoder.pos_embed"][0].double().numpy()
    rows = np.stack(
        [np.stack([np.interp(where, range(16), position[:, x, c]) for c in range(96)], -1) for x in range(16)], 1
    )
    both = np.stack(
        [np.stack([np.interp(where, range(16), rows[y, :, c]) for c in range(96)], -1) for y in range(grid)]
    )
    np.testing.assert_allclose(found["image_encoder.pos_embed"][0], both, atol=5e-6)
    for key in tables:
        table = state[key].double().numpy()
        places = np.linspace(0, 30, 2 * grid - 1)
        expected = np.stack([np.interp(places, range(31), table[:, c]) for c in range(32)], axis=1)
        np.testing.assert_allclose(found[key], expected, atol=5e-6)
    assert all(torch.equal(found[key], state[key]) for key in state.keys() - changed)
    with torch.no_grad():
        embedding = sam.encode(torch.zeros(1, 3, size, size - 16))
        out = sam.decode(embedding, torch.rand(2, 1, 2) * size, torch.ones(2, 1), torch.zeros(2, dtype=torch.int64))
    assert embedding.features[0].shape == (1, 256, grid, grid)
    assert out.logits.shape == (2, size // 4, size // 4)


def test_names_are_strict(state, tmp_path):
    broken = dict(state)
    broken["mask_decoder.iou_tokens.weight"] = broken.pop("mask_decoder.iou_token.weight")
    torch.save(broken, tmp_path / "renamed.pth")
    with pytest.raises(
        BackboneError, match=r"1 tensors are missing \(mask_decoder.iou_token.weight\) and 1 are unknown"
    ):
        build_from_shape(small_shape(), 256, tmp_path / "renamed.pth")
    missing = {key: value for key, value in state.items() if "norm1" not in key}
    with pytest.raises(BackboneError, match=r"12 tensors are missing .*, \.\.\.\)"):
        build_from_shape(small_shape(), 256, missing)
    with pytest.raises(BackboneError, match=r"rel_pos_h is \(13, 32\), not \(27, 32\)"):
        build_from_shape(small_shape(14), 256, state)


def test_wrong_vit_is_named():
    with torch.device("meta"):
        weights = dict(SamModel(VIT_SHAPES["vit_l"], 1024, "vit_l").state_dict())
    with pytest.raises(BackboneError, match="looks like vit_l"):
        build_from_shape(VIT_SHAPES["vit_b"], 512, weights, name="vit_b")


def test_official_shapes_have_sams_parameter_counts():
    # Published: 91 M, 308 M, 636 M.
    for name, millions in (("vit_b", 93.7), ("vit_l", 312.3), ("vit_h", 641.1)):
        with torch.device("meta"):
            sam = SamModel(VIT_SHAPES[name], 1024, name)
        assert sum(p.numel() for p in sam.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)


def test_unreadable_weights(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("evil", "text", "empty", "list", "absent"):
        with pytest.raises(BackboneError):
            read_weights(tmp_path / f"{name}.pth")
    assert not (tmp_path / "ran").exists()


def test_old_format_and_half_precision_load(state, tmp_path):
    torch.save({k: v.half() for k, v in state.items()}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    sam = build_from_shape(small_shape(), 256, tmp_path / "old.pth")
    assert {p.dtype for p in sam.parameters()} == {torch.float32}


def test_training_does_not_write_into_the_file(weights_file):
    before = weights_file.read_bytes()
    sam = build_from_shape(small_shape(), 256, weights_file)
    with torch.no_grad():
        for parameter in sam.parameters():
            parameter.add_(1)
    assert weights_file.read_bytes() == before


def test_bad_arguments(state):
    for size in (0, 100, -16):
        with pytest.raises(BackboneError, match="multiple of 16"):
            build_from_shape(small_shape(), size, state)
    with pytest.raises(BackboneError, match="no backbone called 'vit_x'"):
        build_backbone("vit_x")
    sam = small_sam(lora=False)
    with pytest.raises(ValueError, match="at most 256"):
        sam.encode(torch.zeros(1, 3, 257, 256))
    embedding = Embedding((torch.zeros(1, 256, 16, 16),), (256, 256))
    zero = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="image_index"):
        sam.decode(embedding, torch.zeros(1, 1, 2), torch.ones(1, 1), zero + 1)
    with pytest.raises(ValueError, match="labels"):
        sam.decode(embedding, torch.zeros(1, 1, 2), torch.full((1, 1), 4), zero)
    with pytest.raises(ValueError, match="expected points"):
        sam.decode(embedding, torch.zeros(1, 2), torch.ones(1, 1), zero)
    with pytest.raises(ValueError, match="separate calls"):
        sam.decode(embedding, torch.zeros(2, 2, 2), torch.tensor([[1, 1], [2, 3]]), torch.zeros(2, dtype=torch.int64))


def upstream_decode(sam, features, points, boxes):
    """The segment-anything package's own decoder path, for comparison."""
    sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=None)
    position = sam.prompt_encoder.get_dense_pe()
    logits, scores = sam.mask_decoder(features, position, sparse, dense, multimask_output=False)
    return logits[:, 0], scores[:, 0]


@torch.no_grad()
def test_boxes_points_and_padding_are_as_in_the_package():
    sam = small_sam(lora=False)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 256, 16, 16, generator=generator)
    embedding = Embedding((features,), (256, 256))
    points = torch.rand(5, 2, 2, generator=generator) * 256
    boxes = torch.rand(5, 4, generator=generator) * 256
    zero = torch.zeros(5, dtype=torch.int64)
    labels = torch.tensor([[1, 0], [0, 1], [1, 1], [1, -1], [1, 1]])
    cases = [
        (points, labels, (points, labels), None),
        (boxes.reshape(5, 2, 2), torch.tensor([[2, 3]] * 5), None, boxes),
        (
            torch.cat([points, boxes.reshape(5, 2, 2)], 1),
            torch.cat([labels, torch.tensor([[2, 3]] * 5)], 1),
            (points, labels),
            boxes,
        ),
    ]
    for given, kinds, point_prompt, box_prompt in cases:
        out = sam.decode(embedding, given, kinds, zero)
        logits, scores = upstream_decode(sam, features, point_prompt, box_prompt)
        torch.testing.assert_close(out.logits, logits, rtol=0, atol=1e-4)
        torch.testing.assert_close(out.scores, scores, rtol=0, atol=1e-4)


@torch.no_grad()
def test_prompts_of_several_images_in_any_order():
    sam = small_sam()
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(3, 256, 16, 16, generator=generator)
    points, labels = torch.rand(7, 1, 2, generator=generator) * 256, torch.ones(7, 1)
    index = torch.tensor([2, 0, 2, 0, 0, 2, 2])
    out = sam.decode(Embedding((features,), (256, 256)), points, labels, index)
    limit = float(out.scores.median())
    some = sam.decode(Embedding((features,), (256, 256)), points, labels, index, min_score=limit)
    assert some.kept.tolist() == torch.nonzero(out.scores > limit)[:, 0].tolist()
    torch.testing.assert_close(some.logits, out.logits[some.kept], rtol=0, atol=1e-4)
    for i in range(7):
        image = int(index[i])
        one = sam.decode(
            Embedding((features[image : image + 1],), (256, 256)), points[i : i + 1], labels[i : i + 1], index[:1] * 0
        )
        torch.testing.assert_close(out.logits[i : i + 1], one.logits, rtol=0, atol=1e-4)
        torch.testing.assert_close(out.scores[i : i + 1], one.scores, rtol=0, atol=1e-4)
    none = sam.decode(Embedding((features,), (256, 256)), points[:0], labels[:0], index[:0])
    assert none.scores.shape == (0,)
    assert none.logits.shape == (0, 64, 64)


def test_positions_made_in_inference_mode_serve_training():
    sam = small_sam()
    image = pixels(np.zeros((64, 64, 3), np.uint8))
    one = torch.zeros(1, dtype=torch.int64)
    with torch.inference_mode():
        sam.decode(sam.encode(image), torch.ones(1, 1, 2), torch.ones(1, 1), one)
    sam.train()
    sam.decode(sam.encode(image), torch.ones(1, 1, 2), torch.ones(1, 1), one).logits.sum().backward()


def test_rule_state_covers_everything():
    sam = small_sam(lora=False)
    assert rule_state(sam).keys() == sam.state_dict().keys()


def test_devices(monkeypatch):
    report = device.device_report()
    assert report[-1].name == "cpu"
    assert report[-1].usable
    assert device.choose_device("cpu") == torch.device("cpu")
    assert device.choose_device(" CPU ").type == "cpu"
    for asked in ("gpu", "cuda:x", "mps:1", "cpu:0"):
        with pytest.raises(SettingsError, match="is unknown"):
            device.choose_device(asked)
    broken = device.DeviceInfo(
        "cuda:0", "Old GPU", 1 << 30, usable=False, reason="A test computation failed: no kernel image."
    )
    monkeypatch.setattr(device, "device_report", lambda: [broken, report[-1]])
    assert device.choose_device("auto").type == "cpu"
    with pytest.raises(SettingsError, match="no kernel image"):
        device.choose_device("cuda")
    with pytest.raises(SettingsError, match="no such device"):
        device.choose_device("cuda:1")


def test_device_probe_keeps_the_reason(monkeypatch):
    assert device._why_not("cpu") == ""

    def fail(*_args, **_options):
        raise RuntimeError("CUDA error: no kernel image is available\nmore")

    monkeypatch.setattr(torch, "ones", fail)
    assert device._why_not("cuda:0") == "A test computation failed: CUDA error: no kernel image is available"
    assert set(backbone_names()) == {"tiny", "vit_b", "vit_l", "vit_h"}


def test_build_by_name(weights_file, monkeypatch, tmp_path):
    """The whole way of an official file, with vit_b replaced by the small shape."""
    import dataclasses

    from cellseg1.sam import store

    monkeypatch.setenv(registry.DATA_DIR_VARIABLE, str(tmp_path))
    kind = registry.get_kind("vit_b")
    spec = dataclasses.replace(kind.file, size_bytes=weights_file.stat().st_size, sha256=store.hash_file(weights_file))
    monkeypatch.setitem(registry.BACKBONES.known, "vit_b", dataclasses.replace(kind, file=spec))
    monkeypatch.setitem(VIT_SHAPES, "vit_b", small_shape())
    with pytest.raises(BackboneError, match="not on this computer"):
        build_backbone("vit_b", 256)
    assert store.import_file(weights_file) == "vit_b"
    sam = build_backbone("vit_b", 256)
    assert (sam.name, sam.image_size) == ("vit_b", 256)
    assert build_backbone("vit_b", 128, weights_file).image_size == 128
    other = tmp_path / "other.pth"
    other.write_bytes(weights_file.read_bytes() + b"0")
    with pytest.raises(BackboneError, match="is not the backbone vit_b"):
        build_backbone("vit_b", 256, other)
    assert build_backbone("vit_b", 256, other, verify=False).name == "vit_b"


def test_bundled_files():
    from cellseg1.bundled import resource_path

    with pytest.raises(FileNotFoundError, match=r"own file no/such\.file is missing"):
        resource_path("no/such.file")
