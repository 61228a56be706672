"""A tiny LSeg with random weights, for tests that are about the code and not about what was learned."""

import torch
from open_clip.model import QuickGELU
from open_clip.transformer import TextTransformer
from torch import Tensor

from core.backbones.dpt import DptSize
from core.checkpoints import Weights
from core.device import choose
from core.segmentation.lseg import Lseg, LsegSettings
from core.segmentation.lseg_model import LsegNetwork, Regulariser

SIZE = DptSize(width=64, layers=4, patch=8, grid=4, channels=(4, 6, 8, 10), features=6, heads=1, hooks=(0, 1, 2, 3))
OWN = Regulariser(kind="bottleneck", blocks=2)
BESIDE = Regulariser(kind="depthwise", blocks=1)
SETTINGS = LsegSettings(pixels=64)


def tiny_network(*, own: Regulariser | None = OWN, ablation: tuple[Regulariser, ...] = (BESIDE,)) -> LsegNetwork:
    torch.manual_seed(0)
    text = TextTransformer(context_length=16, width=64, heads=1, layers=1, output_dim=12, act_layer=QuickGELU)
    network = LsegNetwork(SIZE, 12, text=text, regulariser=own, ablation=ablation).eval()
    for name, parameter in network.named_parameters():
        if "depthwise" in name:  # an identity would hide whether the blocks ran
            parameter.data += 0.1 * torch.randn_like(parameter)
    return network


def tiny_lseg(**options: object) -> Lseg:
    model = Lseg(tiny_network(**options), Weights(name="tiny", system="lseg", licence="none"), choose("cpu"))
    model.defaults = SETTINGS
    return model


def released_layout(network: LsegNetwork) -> dict[str, Tensor]:
    """Return a network's tensors as the official file names them, with the parts that nothing reads."""
    tensors = {f"net.{key}": value for key, value in network.state_dict().items() if "ablation" not in key}
    unused = {
        "net.clip_pretrained.visual.proj": torch.ones(3, 3),
        "net.clip_pretrained.logit_scale": torch.tensor(4.6),
        "net.pretrained.model.norm.weight": torch.ones(64),
        "net.pretrained.model.head.weight": torch.ones(5, 64),
        "net.auxlayer.weight": torch.ones(2),
    }
    return tensors | unused
