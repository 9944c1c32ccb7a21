import dataclasses
import json

import numpy as np
import pytest
import safetensors.torch
import torch
from golden_models import pixels, rule, small_sam
from torch import nn

from cellseg1.errors import BackboneError, ModelFileError, SettingsError
from cellseg1.lora import card as card_module
from cellseg1.lora.card import Card, TrainingImage
from cellseg1.lora.config import FREEZE_PARTS, LoraConfig
from cellseg1.lora.header import load_card
from cellseg1.lora.inject import (
    inject_lora,
    lora_layers,
    lora_matrices,
    lora_state,
    remove_lora,
    set_adapter_enabled,
    trainable_parameters,
)
from cellseg1.lora.io import apply_model, save_model
from cellseg1.lora.layer import LoraLinear
from cellseg1.lora.pth import apply_pth, read_pth, write_pth

CARD = Card(
    backbone_sha256="ab" * 32,
    image_size=256,
    input={"channels": [0]},
    pixel_size_um=0.5,
    training_images=(TrainingImage("Zellen ä.tif", "00", "11", ((1, 2, 3, 4),)),),
    ap_training=float("nan"),
    settings={"seed": 0},
    notes="naïve",
)


def outputs(sam):
    image = pixels(np.arange(64 * 64 * 3, dtype=np.uint64).reshape(64, 64, 3) % 251)
    training = sam.training
    with torch.no_grad():
        out = sam.eval().decode(
            sam.encode(image), torch.tensor([[[20.0, 30.0]]]), torch.ones(1, 1), torch.zeros(1, dtype=int)
        )
    sam.train(training)
    return torch.cat([out.scores, out.logits.flatten()])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "modèle.cs1"
    sam = small_sam()
    card = save_model(path, sam, CARD)
    return path, card, outputs(sam)


def test_round_trip(saved):
    path, card, expected = saved
    assert card.backbone == "small"
    assert card.lora == LoraConfig(dropout=0.0)
    sam = small_sam(lora=False)
    plain = outputs(sam)
    found = apply_model(path, sam, backbone_sha256="AB" * 32)
    assert found == load_card(path) == dataclasses.replace(card, ap_training=None)
    assert found.training_images[0].regions == ((1, 2, 3, 4),)
    assert torch.equal(outputs(sam), expected)
    apply_model(path, sam, config=LoraConfig(dropout=0.3))
    assert lora_layers(sam)[0].dropout.p == 0.3
    assert torch.equal(remove_lora(sam) and outputs(sam), plain)
    assert remove_lora(sam) is sam


def test_file_is_small_and_names_are_upstreams(saved):
    path = saved[0]
    assert path.stat().st_size < 150_000
    tensors = safetensors.torch.load(path.read_bytes())
    assert tensors.keys() == {f"lora.{matrix.name}" for matrix in lora_matrices(small_sam())}
    assert torch.equal(tensors["lora.w_b_003"], rule("w_b_003", (96, 4)))


def rewrite(path, target, change=lambda tensors: None, drop_hash=True, **metadata):
    tensors = safetensors.torch.load(path.read_bytes())
    with safetensors.safe_open(path, "pt") as file:
        held = dict(file.metadata())
    if drop_hash:
        held.pop("tensors_sha256")
        held.pop("card_sha256")
    change(tensors)
    target.write_bytes(safetensors.torch.save(tensors, held | metadata))
    return target


def refused(path, expect, **options):
    sam = small_sam(lora=False)
    with pytest.raises(ModelFileError, match=expect):
        apply_model(path, sam, **options)
    assert lora_state(sam) is None


def test_damaged_files_are_refused(saved, tmp_path):
    path = saved[0]
    data = path.read_bytes()
    for size, expect in ((len(data) // 2, "cut short"), (500, "cut short"), (5, "not a CellSeg1 model"), (0, "not a")):
        (tmp_path / "half.cs1").write_bytes(data[:size])
        refused(tmp_path / "half.cs1", expect)
        with pytest.raises(ModelFileError, match=expect):
            load_card(tmp_path / "half.cs1")
    flipped = bytearray(data)
    flipped[-100] ^= 1
    (tmp_path / "flipped.cs1").write_bytes(flipped)
    refused(tmp_path / "flipped.cs1", "does not match its checksum")
    header = bytearray(data)
    header[9] = 0
    (tmp_path / "header.cs1").write_bytes(header)
    refused(tmp_path / "header.cs1", "header cannot be read")
    refused(tmp_path / "absent.cs1", "Cannot read the model")
    (tmp_path / "bare.cs1").write_bytes(safetensors.torch.save({"a": torch.zeros(1)}))
    refused(tmp_path / "bare.cs1", "no card")
    refused(rewrite(path, tmp_path / "card.cs1", card="[1"), "card of the model .* is damaged")
    for number, values in enumerate(
        (
            {"image_size": "big"},
            {"image_size": -1},
            {"scale": 0},
            {"scale": 1e9},
            {"pixel_size_um": -1},
            {"training_images": [{"name": "a", "regions": [[1, 2]]}]},
        )
    ):
        refused(rewrite(path, tmp_path / f"{number}.cs1", card=json.dumps(values)), "card is damaged")
    for number, text in enumerate(
        ("[" * 100_000, '{"a": Infinity}', '{"scale": 1e400}', '{"a": ' + "[" * 99 + "]" * 99 + "}")
    ):
        refused(rewrite(path, tmp_path / f"{number}.cs1", card=text), "card of the model .* is damaged")
    text = data.replace(b'\\"recipe\\"', b'\\"recipf\\"')
    assert text != data
    (tmp_path / "card.cs1").write_bytes(text)
    refused(tmp_path / "card.cs1", "card of the model .* does not match its checksum")
    refused(rewrite(path, tmp_path / "newer.cs1", cellseg1_schema="3"), "newer CellSeg1")


def test_models_that_do_not_fit_are_refused(saved, tmp_path):
    path = saved[0]
    refused(path, "trained on the backbone small, not on vit_h", backbone="vit_h")
    refused(path, "another version of the backbone", backbone_sha256="cd" * 32)
    refused(path, "has image encoder rank 4, but the settings ask for 8", config=LoraConfig(8, 4))
    refused(path, "has mask decoder rank 4, but the settings ask for 0", config=LoraConfig(4, 0))

    def change(name, expect, how):
        refused(rewrite(path, tmp_path / f"{name}.cs1", how), expect)

    change("missing", r"1 tensors are missing \(w_a_003\)", lambda t: t.pop("lora.w_a_003"))
    change("extra", r"1 tensors have no place in it \(w_a_099\)", lambda t: t.update({"lora.w_a_099": torch.zeros(1)}))
    change("shape", r"1 tensors have another shape \(sa_b_000\)", lambda t: t.update({"lora.sa_b_000": torch.zeros(1)}))
    change("unknown", "unknown tensors", lambda t: t.update({"x": torch.zeros(1)}))
    change("nan", "lora.w_a_000 holds values that are not numbers", lambda t: t["lora.w_a_000"].fill_(float("nan")))
    change("delta", "no place in it", lambda t: t.update({"delta.nothing": torch.zeros(1)}))


def test_unknown_keys_of_newer_versions_are_kept(saved, tmp_path, monkeypatch):
    values = saved[1].to_dict() | {"novelty": [1]}
    values["lora"]["novelty"] = 2
    path = rewrite(saved[0], tmp_path / "new.cs1", card=json.dumps(values))
    card = load_card(path)
    assert card.extra == {"novelty": [1]}
    assert card.to_dict()["novelty"] == [1]
    with pytest.raises(ModelFileError, match="unknown file version 0"):
        Card.from_dict({}, 0)
    monkeypatch.setitem(card_module.MIGRATIONS, 0, lambda old: {"notes": old["remark"]})
    assert Card.from_dict({"remark": "hello"}, 0).notes == "hello"


def test_diverged_training_is_not_saved(tmp_path):
    sam = small_sam()
    with torch.no_grad():
        lora_matrices(sam)[0].parameter[0, 0] = float("inf")
    with pytest.raises(ModelFileError, match="training diverged"):
        save_model(tmp_path / "x.cs1", sam, CARD)
    for save in (
        lambda: save_model(tmp_path / "x.cs1", small_sam(lora=False), CARD),
        lambda: write_pth(tmp_path / "x.pth", small_sam(lora=False)),
    ):
        with pytest.raises(ModelFileError, match="nothing to save"):
            save()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag", [*FREEZE_PARTS, "freeze_norms_and_biases"])
def test_unfrozen_parts_are_trained_and_stored(flag, tmp_path):
    config = LoraConfig(0, 2, dropout=0.0, **{flag: False})
    sam = small_sam(config=config)
    plain = outputs(small_sam(lora=False))
    base = [(key, value) for key, value in trainable_parameters(sam) if "." in key]
    assert base
    if flag in FREEZE_PARTS:
        assert all(key.startswith(FREEZE_PARTS[flag]) for key, _value in base)
    else:
        vectors = {key for key, value in small_sam(lora=False).named_parameters() if value.dim() == 1}
        assert {key.replace(".base.", ".") for key, _value in base} == vectors
        assert {"image_encoder.blocks.0.norm1.weight", "mask_decoder.output_upscaling.0.bias"} <= vectors
    with torch.no_grad():
        for _key, value in base:
            value.add_(0.01 * torch.sin(torch.arange(value.numel())).reshape(value.shape))
    expected = outputs(sam)
    save_model(tmp_path / "m.cs1", sam, CARD)
    other = small_sam(lora=False)
    apply_model(tmp_path / "m.cs1", other)
    torch.testing.assert_close(outputs(other), expected, rtol=0, atol=2e-3)
    set_adapter_enabled(other, False)
    assert torch.equal(outputs(other), plain)
    save_model(tmp_path / "again.cs1", other, CARD)
    set_adapter_enabled(other, True)
    torch.testing.assert_close(outputs(other), expected, rtol=0, atol=2e-3)
    apply_model(tmp_path / "again.cs1", other)
    torch.testing.assert_close(outputs(other), expected, rtol=0, atol=2e-3)
    if flag in {"freeze_image_encoder", "freeze_mask_decoder_transformer"}:
        with pytest.raises(ModelFileError, match="cannot hold the trained weights"):
            write_pth(tmp_path / "m.pth", other)
    remove_lora(other)
    assert torch.equal(outputs(other), plain)
    assert all(parameter.requires_grad for parameter in other.parameters())


@pytest.mark.parametrize(("encoder", "decoder", "count"), [(0, 4, 28), (4, 0, 16), (2, 8, 44)])
def test_ranks_may_differ_and_be_zero(encoder, decoder, count, tmp_path):
    sam = small_sam(config=LoraConfig(encoder, decoder))
    expected = outputs(sam)
    assert len(lora_matrices(sam)) == count
    write_pth(tmp_path / "lora_vit_b_4_320_20250101-000000.pth", sam)
    found = read_pth(tmp_path / "lora_vit_b_4_320_20250101-000000.pth")
    assert (found.image_encoder_rank, found.mask_decoder_rank) == (encoder, decoder)
    assert (found.image_size, found.image_size_known) == (320, True)
    other = small_sam(lora=False)
    apply_pth(tmp_path / "lora_vit_b_4_320_20250101-000000.pth", other)
    assert torch.equal(outputs(other), expected)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (exec, (f"open({str(self.path)!r}, 'w')",))


def test_pth_that_is_refused(tmp_path):
    torch.save({"w_a_000": Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(ModelFileError, match="holds program code"):
        read_pth(tmp_path / "evil.pth")
    torch.save({"w_a_000": Evil(tmp_path / "ran")}, tmp_path / "evil.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(ModelFileError, match="holds program code"):
        read_pth(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()
    good = small_sam()
    path = tmp_path / "good.pth"
    write_pth(path, good)
    data = path.read_bytes()
    (tmp_path / "half.pth").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.pth").write_text("hello there")
    (tmp_path / "four.pth").write_bytes(b"\x80\x02\x8a\x0a")
    (tmp_path / "none.pth").write_bytes(b"")
    for name in ("half", "text", "absent", "four", "none"):
        with pytest.raises(ModelFileError, match="check its name" if name == "absent" else "damaged"):
            read_pth(tmp_path / f"{name}.pth")

    def refuse(expect, change, config=None):
        tensors = {key: value.detach().clone() for key, value in torch.load(path, weights_only=True).items()}
        changed = change(tensors)
        torch.save(tensors if changed is None or isinstance(changed, torch.Tensor) else changed, tmp_path / "bad.pth")
        sam = small_sam(lora=False)
        with pytest.raises(ModelFileError, match=expect):
            apply_pth(tmp_path / "bad.pth", sam, config=config)
        assert lora_state(sam) is None

    refuse("not a LoRA file of CellSeg1", lambda t: [1])
    refuse("looks like a whole SAM backbone", lambda t: small_sam(lora=False).state_dict())
    refuse("unknown: extra", lambda t: t.update(extra=torch.zeros(1)))
    refuse("different ranks", lambda t: t.update(w_a_000=torch.zeros(8, 96)))
    refuse("not a matrix", lambda t: t.update(w_a_000=torch.zeros(8)))
    refuse("not numbers", lambda t: t["w_a_000"].fill_(float("nan")))
    refuse("1 tensors are missing", lambda t: t.pop("w_b_000"))
    refuse("1 tensors are missing", lambda t: t.pop("mask_decoder.iou_token.weight"))
    refuse("8 tensors have another shape", lambda t: t.update({f"w_a_{i:03d}": torch.zeros(4, 768) for i in range(8)}))
    refuse("image encoder rank 4, but the settings ask for 8", lambda t: None, LoraConfig(8, 4))

    def vit_h(tensors):
        tensors.update({f"w_a_{i:03d}": torch.zeros(4, 1280) for i in range(64)})

    sam = small_sam(lora=False)
    sam.name = "vit_b"
    refuse("have another shape", vit_h)
    with pytest.raises(ModelFileError, match="trained on the backbone vit_h, not on vit_b"):
        apply_pth(tmp_path / "bad.pth", sam)
    good.name = "tiny"
    with pytest.raises(ModelFileError, match="no backbone tiny"):
        write_pth(tmp_path / "x.pth", good)


@pytest.mark.parametrize(
    ("values", "expect"),
    [
        ({"image_encoder_rank": -1}, "image_encoder_lora_rank is -1"),
        ({"mask_decoder_rank": 2.5}, "mask_decoder_lora_rank is 2.5"),
        ({"mask_decoder_rank": True}, "is True"),
        ({"dropout": 1.0}, "lora_dropout is 1.0"),
        ({"dropout": "a"}, "lora_dropout is 'a'"),
        ({"dropout_place": "input"}, "choose output or branch"),
        ({"image_encoder_rank": 0, "mask_decoder_rank": 0}, "Nothing would be trained"),
    ],
)
def test_config_is_checked(values, expect):
    with pytest.raises(SettingsError, match=expect):
        LoraConfig(**values)


def test_config_round_trip():
    config = LoraConfig(1, 2, 0.3, "branch", freeze_upscaling_cnn=False)
    assert LoraConfig.from_dict(config.to_dict() | {"novelty": 1}) == config
    assert LoraConfig(0, 0, freeze_norms_and_biases=False).trains_base_weights()
    assert LoraConfig(0, 0, freeze_prompt_encoder=False).trained_prefixes() == ("prompt_encoder.",)


def test_layer_is_what_the_formula_says():
    base = nn.Linear(6, 9)
    layer = LoraLinear(base, 2, {"q": slice(0, 3), "v": slice(6, 9)}, 0.0, "output")
    assert layer.weight is base.weight
    assert {name for name, _value in layer.named_parameters()} == {"weight", "bias", "a.q", "a.v", "b.q", "b.v"}
    x = torch.randn(4, 5, 6)
    assert torch.equal(layer(x), base(x))
    # kaiming_uniform(a=sqrt 5): uniform within 1/sqrt(columns).
    assert 0.2 < layer.a["q"].abs().max() <= 6**-0.5
    with torch.no_grad():
        for matrix in layer.b.values():
            matrix.normal_()
    expected = base(x).detach()
    expected[..., :3] += x @ (layer.b["q"] @ layer.a["q"]).T.detach()
    expected[..., 6:] += x @ (layer.b["v"] @ layer.a["v"]).T.detach()
    torch.testing.assert_close(layer(x), expected)
    layer.enabled = False
    assert torch.equal(layer(x), base(x))
    assert torch.equal(layer.plain()(x), base(x))


def test_dropout_places():
    torch.manual_seed(0)
    base = nn.Linear(50, 50)
    output = LoraLinear(base, 2, {"q": slice(None)}, 0.5, "output").train()
    branch = LoraLinear(base, 2, {"q": slice(None)}, 0.5, "branch").train()
    x = torch.randn(8, 50)
    dropped = output(x)
    zeros = dropped == 0
    assert 0.3 < zeros.float().mean() < 0.7
    torch.testing.assert_close(dropped[~zeros], 2 * base(x)[~zeros])
    # B is zero, so dropping the input of the branch changes nothing; with B, it changes the branch alone.
    assert torch.equal(branch(x), base(x))
    nn.init.normal_(branch.b["q"])
    assert not torch.equal(branch(x), branch(x))
    for layer in (output, branch):
        assert torch.equal(layer.eval()(x), layer(x))


def test_dropout_differs_between_prompts_in_training():
    sam = small_sam(config=LoraConfig(dropout=0.5)).train()
    embedding = sam.encode(torch.zeros(1, 3, 256, 256))
    points = torch.full((2, 1, 2), 50.0)
    out = sam.decode(embedding, points, torch.ones(2, 1), torch.zeros(2, dtype=torch.int64))
    assert not torch.equal(out.logits[0], out.logits[1])


def test_injection_is_checked():
    sam = small_sam()
    with pytest.raises(BackboneError, match="already carries an adapter"):
        inject_lora(sam, LoraConfig())
    with pytest.raises(BackboneError, match="carries no adapter"):
        set_adapter_enabled(small_sam(lora=False), True)
    broken = small_sam(lora=False)
    del broken.mask_decoder.transformer.layers[1].self_attn.v_proj
    with pytest.raises(BackboneError, match=r"no linear layer mask_decoder.transformer.layers.1.self_attn.v_proj"):
        inject_lora(broken, LoraConfig())
    # Nothing was changed by the attempt.
    assert not lora_layers(broken)
    assert all(parameter.requires_grad for parameter in broken.parameters())
    broken = small_sam(lora=False)
    broken.image_encoder.blocks = nn.ModuleList()
    with pytest.raises(BackboneError, match="no blocks"):
        inject_lora(broken, LoraConfig())
    broken = small_sam(lora=False)
    del broken.prompt_encoder
    with pytest.raises(SettingsError, match="no part prompt_encoder"):
        inject_lora(broken, LoraConfig(freeze_prompt_encoder=False))
