"""The short way through SAM's two-way transformer gives SAM's own answers and gradients."""

import pytest
import torch
from segment_anything.modeling.transformer import TwoWayTransformer
from torch import nn

from cellseg1.lora.layer import LoraLinear
from cellseg1.sam.scratch import Scratch, scratch_for
from cellseg1.sam.two_way import applies, two_way, upscaled

torch.set_num_threads(1)


def transformer(rank=0, dropout=0.0):
    torch.manual_seed(3)
    made = TwoWayTransformer(depth=2, embedding_dim=32, num_heads=4, mlp_dim=48)
    for parameter in made.parameters():
        # Biases of zero would hide a forgotten one.
        nn.init.normal_(parameter, std=0.3)
    if rank:
        for attention in [part for part in made.modules() if hasattr(part, "q_proj")]:
            for part in ("q", "v"):
                layer = LoraLinear(getattr(attention, f"{part}_proj"), rank, {part: slice(None)}, dropout, "branch")
                nn.init.normal_(layer.b[part], std=0.3)
                setattr(attention, f"{part}_proj", layer)
    return made.eval()


def both(module, tokens=3, high=4, wide=6):
    torch.manual_seed(4)
    image = torch.randn(5, 32, high, wide)
    place = torch.randn(1, 32, high, wide)
    prompts = torch.randn(5, tokens, 32)
    whole = module(image, place.expand_as(image), prompts)
    flat = image.flatten(2).transpose(1, 2).contiguous()
    return whole, two_way(module, flat.clone(), place[0].flatten(1).T, prompts)


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("tokens", [2, 5])
def test_same_answer(rank, tokens):
    module = transformer(rank)
    with torch.no_grad():
        whole, short = both(module, tokens)
    for one, other in zip(whole, short, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_same_gradients():
    module = transformer(2)
    sums = []
    for way in (0, 1):
        module.zero_grad()
        tokens, places = both(module)[way]
        (tokens.square().sum() + places.sin().sum()).backward()
        sums.append({name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None})
    # What adds the same to every place of a row of a softmax has no gradient; rounding gives it a tiny one in SAM.
    nothing = {name for name in sums[0] if name.endswith("token_to_image.k_proj.bias")}
    assert set(sums[0]) - nothing <= set(sums[1])
    for name in set(sums[0]) - nothing:
        torch.testing.assert_close(sums[0][name], sums[1][name], rtol=2e-3, atol=1e-4)
    assert all(float(sums[0][name].abs().max()) < 1e-4 for name in nothing)


def test_memory_is_used_again_and_nothing_returned_lies_in_it():
    module, scratch = transformer(2), Scratch()
    torch.manual_seed(4)
    position = torch.randn(24, 32)
    kept = []
    with torch.no_grad():
        # The last batch of an image is smaller than the ones before.
        for count in (5, 5, 2):
            image, prompts = torch.randn(count, 24, 32), torch.randn(count, 3, 32)
            wanted = two_way(module, image.clone(), position, prompts)
            untouched = image.clone()
            kept.append((wanted, two_way(module, image, position, prompts, scratch)))
            assert not torch.equal(image, untouched), "its memory is used again"
    for wanted, found in kept:
        assert all(torch.equal(one, other) for one, other in zip(wanted, found, strict=True))
    room = scratch.take("placed", (5, 24, 32), torch.float32)
    assert room.data_ptr() == scratch.take("placed", (2, 24, 32), torch.float32).data_ptr()
    assert scratch.take("placed", (2, 24, 32), torch.bfloat16).dtype == torch.bfloat16


def test_gradients_need_every_value():
    assert scratch_for(torch.zeros(1)) is None
    with torch.no_grad():
        assert scratch_for(torch.zeros(1)) is not None
        assert scratch_for(torch.zeros(1, device="meta")) is None


def test_an_adapter_switched_off_does_not_count():
    plain, adapted = transformer(), transformer(2)
    for layer in adapted.modules():
        if isinstance(layer, LoraLinear):
            layer.enabled = False
    with torch.no_grad():
        torch.testing.assert_close(both(plain)[1], both(adapted)[1])


def test_dropout_per_place_needs_the_long_way():
    module = transformer(2, dropout=0.5)
    assert applies(module)
    module.train()
    assert not applies(module)
    assert applies(transformer(2).train())


def test_upscaling_is_the_transposed_convolution():
    torch.manual_seed(5)
    layer = nn.ConvTranspose2d(6, 4, 2, stride=2)
    image = torch.randn(3, 6, 4, 5)
    wanted = layer(image).permute(0, 2, 3, 1)
    torch.testing.assert_close(upscaled(layer, image.permute(0, 2, 3, 1)), wanted, rtol=1e-5, atol=1e-6)
    assert upscaled(layer, torch.zeros(0, 4, 5, 6)).shape == (0, 8, 10, 4)
