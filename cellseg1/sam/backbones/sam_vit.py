"""vit_b, vit_l, vit_h: the published SAM (Kirillov et al. 2023, arXiv 2304.02643), with Meta's weights."""

from __future__ import annotations

from dataclasses import dataclass

from cellseg1.sam.kind import BackboneKind, BackboneSpec

_SAM_URL = "https://dl.fbaipublicfiles.com/segment_anything/"


@dataclass(frozen=True, kw_only=True)
class SamVit(BackboneKind):
    """A SAM with one of the published encoder shapes.

    Attributes
    ----------
    file
        Its official file.
    """

    file: BackboneSpec
    published: bool = True

    def spec(self) -> BackboneSpec:
        """See `BackboneKind`."""
        return self.file


SAM_VITS = (
    SamVit(
        name="vit_b",
        builder="cellseg1.sam.weights:build_named",
        title="SAM ViT-B",
        about="More accurate than tiny; slow without a graphics card.",
        seconds_per_tile=4.0,
        file=BackboneSpec(
            "vit_b",
            "sam_vit_b_01ec64.pth",
            375_042_383,
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            _SAM_URL + "sam_vit_b_01ec64.pth",
            "Apache-2.0",
            "SAM ViT-B: the smallest official SAM (0.4 GB), for computers with little memory.",
        ),
    ),
    SamVit(
        name="vit_l",
        builder="cellseg1.sam.weights:build_named",
        title="SAM ViT-L",
        about="Needs a graphics card.",
        seconds_per_tile=12.0,
        file=BackboneSpec(
            "vit_l",
            "sam_vit_l_0b3195.pth",
            1_249_524_607,
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            _SAM_URL + "sam_vit_l_0b3195.pth",
            "Apache-2.0",
            "SAM ViT-L: the middle official SAM (1.2 GB).",
        ),
    ),
    SamVit(
        name="vit_h",
        builder="cellseg1.sam.weights:build_named",
        title="SAM ViT-H",
        about="The network of the paper; needs a graphics card.",
        seconds_per_tile=22.0,
        file=BackboneSpec(
            "vit_h",
            "sam_vit_h_4b8939.pth",
            2_564_550_879,
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            _SAM_URL + "sam_vit_h_4b8939.pth",
            "Apache-2.0",
            "SAM ViT-H: the largest official SAM (2.6 GB), most accurate, needs a GPU.",
        ),
    ),
)
