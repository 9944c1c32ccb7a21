"""The adapter works on the bundled backbone's layout too."""

import pytest

from cellseg1.errors import BackboneError
from cellseg1.lora.config import FREEZE_PARTS, LoraConfig
from cellseg1.lora.inject import inject_lora, lora_matrices, remove_lora, trainable_parameters


def test_every_part_of_tiny_can_be_trained():
    tiny = pytest.importorskip("cellseg1.sam.tiny")
    model = tiny.TinyModel()
    keys = list(model.state_dict())
    inject_lora(model, LoraConfig())
    blocks = len(model.image_encoder.blocks)
    layers = len(model.mask_decoder.transformer.layers)
    assert len(lora_matrices(model)) == 4 * blocks + 12 * layers + 4
    with pytest.raises(BackboneError):
        inject_lora(model, LoraConfig())
    remove_lora(model)
    assert list(model.state_dict()) == keys
    for flag, prefixes in FREEZE_PARTS.items():
        inject_lora(model, LoraConfig(0, 1, **{flag: False}))
        assert any(name.startswith(prefixes) for name, _parameter in trainable_parameters(model))
        remove_lora(model)
