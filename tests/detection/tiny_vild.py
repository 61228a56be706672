"""A tiny ViLD with random weights, for tests that are about the code and not about what was learned."""

import numpy as np
import torch

from core.checkpoints import Weights
from core.detection.vild import Vild
from core.detection.vild_head import HeadSize
from core.detection.vild_model import VildNetwork, VildSize
from core.device import choose
from tests.tiny import RESNET, tiny_backbone

HEAD = HeadSize(channels=8, convs=1, filters=6, fcs=1, fc_width=12, embed_dim=RESNET.embed_dim)
SIZE = VildSize(
    trunk_width=4, trunk_layers=(1, 1, 1, 1), channels=8, head=HEAD, mask_convs=1, mask_filters=4, proposals=20
)


def tiny_network() -> VildNetwork:
    torch.manual_seed(0)
    network = VildNetwork(SIZE)
    for parameter in network.parameters():  # no branch may be switched off by a zero
        parameter.data += 0.02 * torch.randn_like(parameter)
    return network.eval()


def tiny_vild(path: str = "vild") -> Vild:
    weights = Weights(name="tiny", system="vild", licence="none")
    return Vild(tiny_network(), tiny_backbone(RESNET), weights, choose("cpu"), path=path)


def some_picture(height: int = 60, width: int = 90) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
