"""A linear layer with low-rank additions to some of its outputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellseg1.lora.config import DropoutPlace


class LoraLinear(nn.Linear):
    """y = W x + b, plus B A x on chosen rows of the output (Hu et al. 2021, arXiv 2106.09685, without alpha).

    It takes over weight and bias of the layer it replaces, under the same names, so that the state-dict keys of
    the backbone stay as they are.

    Attributes
    ----------
    a, b
        By part ("q", "v"): A (rank, in) and B (rows, rank).
    enabled
        False makes it the plain layer.
    """

    def __init__(
        self, base: nn.Linear, rank: int, parts: Mapping[str, slice], dropout: float, place: DropoutPlace
    ) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.rank, self.place = rank, place
        self.enabled: bool = True
        self.dropout = nn.Dropout(dropout)
        self.rows: dict[str, slice] = dict(parts)
        # B starts at zero: the adapter begins as the unchanged backbone.
        weight = base.weight
        self.a, self.b = nn.ParameterDict(), nn.ParameterDict()
        for part, rows in parts.items():
            size = len(range(*rows.indices(base.out_features)))
            self.a[part] = nn.Parameter(torch.empty((rank, base.in_features), device=weight.device))
            self.b[part] = nn.Parameter(torch.zeros((size, rank), device=weight.device))
            if not weight.is_meta:
                nn.init.kaiming_uniform_(self.a[part], a=math.sqrt(5))
        self.train(base.training)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.Linear
        """Apply the layer to (..., in) and return (..., out)."""
        out = F.linear(input, self.weight, self.bias)
        if not self.enabled:
            return out
        branch = self.dropout(input) if self.place == "branch" else input
        for part, rows in self.rows.items():
            delta = F.linear(F.linear(branch, self.a[part]), self.b[part])
            if delta.shape == out.shape:
                out = out + delta
            else:
                # In place on a slice: a copy of qkv per part would cost more than the adapter itself.
                out[..., rows] += delta
        return self.dropout(out) if self.place == "output" else out

    def effective_weight(self) -> Tensor:
        """Return W + B A (out, in): what the layer multiplies by when nothing is dropped."""
        if not self.enabled:
            return self.weight
        weight = self.weight.clone()
        for part, rows in self.rows.items():
            weight[rows] += self.b[part] @ self.a[part]
        return weight

    def plain(self) -> nn.Linear:
        """Return the layer without the adapter, with the same weight and bias."""
        base = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        base.weight, base.bias = self.weight, self.bias
        return base.train(self.training)
