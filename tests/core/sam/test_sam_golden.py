"""SamModel against the published research code's numbers (golden a and b)."""

import numpy as np
import pytest
import torch
from golden_models import golden, pixels, rule, small_sam
from torch.nn import functional as F

from cellseg1.lora.inject import set_adapter_enabled
from cellseg1.sam import decoder_pass
from cellseg1.sam.interface import Embedding


@pytest.fixture(scope="module")
def a():
    return golden("a_embedding")


@pytest.fixture(scope="module")
def b():
    return golden("b_decoder")


@pytest.fixture(scope="module")
def model():
    return small_sam()


def close(found, expected, tolerance=1e-4):
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("key", "shape", "first", "total", "squares"),
    [
        ("image_encoder.pos_embed", (1, 16, 16, 96), (0.20974289, -0.18538566, -0.18809202), 34.635996, 981.413803),
        ("image_encoder.blocks.0.norm1.weight", (96,), (1.1711773, 0.96143436, 0.95466846), 94.990528, 94.952470),
        ("mask_decoder.iou_token.weight", (1, 256), (0.039242219, -0.044654939, 0.10690122), 0.067659, 9.628049),
        (
            "image_encoder.patch_embed.proj.weight",
            (96, 3, 16, 16),
            (-0.036377363, -0.027588202, -0.0041504377),
            -16.936226,
            95.956692,
        ),
        ("w_a_000", (4, 96), (0.079412304, -0.12360697, 0.080793388), -2.981759, 3.987639),
        ("fati_vb", (128, 4), (-0.095399186, 0.081867389, 0.15087956), -1.822733, 5.118800),
        (
            "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
            (2, 128),
            (-0.0744249, 0.69688767, 0.12855209),
            -12.286874,
            252.428673,
        ),
        (
            "mask_decoder.output_upscaling.0.weight",
            (256, 64, 2, 2),
            (-0.069773339, 0.062161706, 0.0097259814),
            3.516577,
            256.514274,
        ),
    ],
)
def test_weight_rule(key, shape, first, total, squares):
    values = rule(key, shape).numpy().astype(np.float64)
    np.testing.assert_allclose(values.ravel()[:3], first, rtol=1e-6)
    assert values.sum() == pytest.approx(total, abs=1e-5)
    assert (values**2).sum() == pytest.approx(squares, rel=1e-6)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("window", [7, 14])
def test_embedding(a, window, lora, fast):
    sam = small_sam(window, lora)
    sam.fast_attention = fast
    with torch.no_grad():
        embedding = sam.encode(pixels(a["image"]))
    assert embedding.input_size == (256, 256)
    close(embedding.features[0], a[f"embedding_w{window}" + ("_lora" if lora else "")])


def test_preprocessed_mean_and_blocks(a, model):
    # The golden value is the mean before padding, and this image needs none.
    close(model.preprocess(pixels(a["image"])).mean(dim=(0, 2, 3)).double(), a["preprocessed_mean"], 1e-5)
    outputs = []
    hooks = [
        block.register_forward_hook(lambda _m, _i, out: outputs.append(out)) for block in model.image_encoder.blocks
    ]
    with torch.no_grad():
        model.encode(pixels(a["image"]))
    for hook in hooks:
        hook.remove()
    stats = [[float(f(x)) for f in (torch.mean, torch.std, torch.min, torch.max)] for x in outputs]
    close(np.array(stats), a["block_stats_w7_lora"])


def test_zero_b_and_switched_off_are_the_plain_backbone(a, model):
    plain = small_sam(lora=False)
    sam = small_sam()
    with torch.no_grad():
        for layer in sam.modules():
            for matrix in getattr(layer, "b", {}).values() if hasattr(layer, "rows") else ():
                matrix.zero_()
        zero = sam.encode(pixels(a["image"])).features[0]
        expected = plain.encode(pixels(a["image"])).features[0]
        set_adapter_enabled(model, False)
        off = model.encode(pixels(a["image"])).features[0]
        set_adapter_enabled(model, True)
    assert torch.equal(zero, expected)
    assert torch.equal(off, expected)
    close(zero[:, ::16], a["embedding_w7_loraB0"])


def test_nonsquare(a, model):
    from torchvision.transforms.functional import resize, to_pil_image

    resized = np.asarray(resize(to_pil_image(a["nonsquare_image"]), [175, 256]))
    assert np.array_equal(resized, a["nonsquare_resized"])
    with torch.no_grad():
        embedding = model.encode(pixels(resized))
    assert embedding.input_size == tuple(a["nonsquare_input_size"])
    close(embedding.features[0], a["nonsquare_embedding_w7_lora"])


def decode(model, features, b, **options):
    points = torch.from_numpy(b["points_xy"])[:, None]
    labels = torch.from_numpy(b["labels"])[:, None]
    embedding = Embedding((torch.from_numpy(features),), (256, 256))
    return model.decode(embedding, points, labels, torch.zeros(len(points), dtype=torch.int64), **options)


@pytest.mark.parametrize("batch", [None, 3, 1])
@pytest.mark.parametrize("case", ["lora", "base"])
def test_decoder(b, case, batch):
    sam = small_sam(lora=case == "lora")
    sam.decode_batch = batch
    prefix = "" if case == "lora" else "base_"
    with torch.no_grad():
        out = decode(sam, b[f"{prefix}image_embedding"], b)
    close(out.logits[:, None], b[f"{prefix}low_res_logits"])
    close(out.scores[:, None], b[f"{prefix}iou_predictions"])
    assert out.kept.tolist() == list(range(8))
    assert out.stride == 4
    assert out.origin.shape == (8, 2)
    assert not out.origin.any()


def test_decoder_parts(a, b, model):
    with torch.no_grad():
        close(model.encode(pixels(a["image"])).features[0], b["image_embedding"])
        points = torch.from_numpy(b["points_xy"])[:, None]
        labels = torch.from_numpy(b["labels"]).long()[:, None]
        tokens = decoder_pass.embed_prompts(model.prompt_encoder, points, labels)
        close(tokens, b["sparse_embeddings"], 1e-5)
        close(model.dense_position(), b["dense_pe"], 1e-5)
        assert model.dense_position() is model.dense_position()
        no_mask = model.prompt_encoder.no_mask_embed.weight
        close(no_mask, b["dense_embedding"], 0)
        shared = decoder_pass.share_image(
            model.mask_decoder, torch.from_numpy(b["image_embedding"]), no_mask, model.dense_position()
        )
        out, _keys = decoder_pass.run_transformer(model.mask_decoder, shared, tokens)
        close(model.mask_decoder.iou_prediction_head(out[:, 0])[:, 1:], b["iou_predictions_multimask"])


def test_upsampled_and_stability(b, model):
    """The rest of golden b: SAM's two bilinear passes, and the stability score, on our logits."""
    with torch.no_grad():
        logits = decode(model, b["image_embedding"], b).logits[:, None]
    whole = F.interpolate(logits, (256, 256), mode="bilinear", align_corners=False)
    close(whole[0], b["upsampled_256_first"])
    crop = F.interpolate(whole[..., :175, :256], (150, 220), mode="bilinear", align_corners=False)
    close(crop[0], b["upsampled_crop_175x256_to_150x220_first"])
    high, low = ((whole > offset).sum(dim=(1, 2, 3)) for offset in (0.8, -0.8))
    close(high / low, b["stability_score_offset0p8"], 2e-4)


def test_min_score_keeps_exactly_the_better(b, model):
    expected = b["iou_predictions"][:, 0]
    limit = float(np.median(expected))
    out = decode(model, b["image_embedding"], b, min_score=limit)
    assert out.kept.tolist() == np.nonzero(expected > limit)[0].tolist()
    close(out.logits, b["low_res_logits"][expected > limit, 0])
    close(out.scores, expected)
    assert not out.logits.requires_grad
    nothing = decode(model, b["image_embedding"], b, min_score=1e9)
    assert nothing.logits.shape == (0, 64, 64)
    assert nothing.kept.shape == (0,)
    assert nothing.origin.shape == (0, 2)
