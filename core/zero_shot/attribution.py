"""Where did it look: from a cosine back to pixels.

LayerCAM (Jiang et al. 2021, Exploring Hierarchical Class Activation Maps for Localization, IEEE TIP 30) on a ResNet:
unlike Grad-CAM it also works on earlier stages, and `python -m core.evaluate clip` measures how often it points at the
thing. Relevance through attention (Chefer et al. 2021, Generic Attention-model Explainability, Eq. 5 and 6) on a ViT.
Occlusion (Zeiler and Fergus 2014, Sec. 4.2) is the check that trusts no gradient. All work on the network's input and
are laid back over the part of the picture it saw.

Legend: L labels, D embedding size, G side of the feature grid, P tokens, A attention heads, S side of the input.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from core.backbones.clip import ClipBackbone

LEAST_GRID = 7  # a side, as the last stage of an RN50 has at 224 pixels; that of a 64-pixel ResNet has 2
COVER_SHARE = 0.25  # side of the grey square against the input's
COVER_STEPS = 12  # places of the square along each side
COVER_BATCH = 48

Attribute = Callable[[ClipBackbone, UInt8[np.ndarray, "H W 3"], Float[Tensor, "L D"]], Float[np.ndarray, "L H W"]]


def gradient_maps(
    backbone: ClipBackbone, image: UInt8[np.ndarray, "H W 3"], texts: Float[Tensor, "L D"]
) -> Float[np.ndarray, "L H W"]:
    """Return LayerCAM or attention relevance for each text, 0 and up, at the picture's size."""
    visual = backbone.model.visual
    inputs = backbone.preprocess(image)[None].to(backbone.device.torch_device())
    if hasattr(visual, "layer4"):
        small = _layer_cam(visual, inputs, texts)
    elif hasattr(getattr(visual, "transformer", None), "resblocks"):
        small = _attention_relevance(visual, inputs, texts)
    else:
        raise ValueError("This architecture has no gradient map here; use occlusion.")
    return _lay_back(backbone, image, small)


def occlusion_maps(
    backbone: ClipBackbone, image: UInt8[np.ndarray, "H W 3"], texts: Float[Tensor, "L D"]
) -> Float[np.ndarray, "L H W"]:
    """Return how far each text's cosine falls when a grey square covers the place; below 0 where it rises."""
    inputs = backbone.preprocess(image)
    side = inputs.shape[-1]
    reach = max(1, round(side * COVER_SHARE / 2))
    middles = np.linspace(0, side - 1, COVER_STEPS).round().astype(int)
    covered = inputs.repeat(COVER_STEPS**2, 1, 1, 1)  # zero is the mean colour, a grey
    for place, (y, x) in enumerate((y, x) for y in middles for x in middles):
        covered[place, :, max(0, y - reach) : y + reach, max(0, x - reach) : x + reach] = 0
    features = torch.cat([backbone.encode_inputs(chunk) for chunk in covered.split(COVER_BATCH)])
    whole = backbone.encode_inputs(inputs[None]) @ texts.T  # (1, L)
    falls = (whole - features @ texts.T).T.reshape(len(texts), COVER_STEPS, COVER_STEPS)
    return _lay_back(backbone, image, falls)


METHODS: dict[str, Attribute] = {"gradient": gradient_maps, "occlusion": occlusion_maps}


def _layer_cam(visual: nn.Module, inputs: Tensor, texts: Float[Tensor, "L D"]) -> Float[Tensor, "L G G"]:
    """Weigh each place and channel of the deepest stage with enough places by its own positive gradient."""
    with torch.enable_grad():
        features, stages = visual.stem(inputs), [visual.layer1, visual.layer2, visual.layer3, visual.layer4]
        while stages and (deeper := stages[0](features)).shape[-1] >= LEAST_GRID:
            features, stages = deeper, stages[1:]
        features.requires_grad_()  # (1, C, G, G)
        cosines = _cosines(visual.attnpool(nn.Sequential(*stages)(features)), texts)
        gradients = [torch.autograd.grad(cosine, features, retain_graph=True)[0] for cosine in cosines]
    return torch.stack([(gradient.clamp(min=0) * features).sum(1)[0].clamp(min=0).detach() for gradient in gradients])


def _attention_relevance(visual: nn.Module, inputs: Tensor, texts: Float[Tensor, "L D"]) -> Float[Tensor, "L G G"]:
    """Multiply each block's attention with its gradient and carry the class token's relevance through the blocks."""
    attentions: list[Tensor] = []
    with torch.enable_grad():
        x = visual._embeds(inputs).requires_grad_()  # (1, P, width)
        for block in visual.transformer.resblocks:
            attended, weights = _attend(block.attn, block.ln_1(x))
            attentions.append(weights)
            x = x + block.ls_1(attended)
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        feature = visual._pool(x)[0] @ visual.proj
        return torch.stack([_relevance(cosine, attentions) for cosine in _cosines(feature, texts)])


def _attend(attention: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """Do what nn.MultiheadAttention does, step by step; returns (1, P, width) and weights (1, A, P, P)."""
    batch, tokens, width = x.shape
    head_width = width // attention.num_heads
    mixed = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = mixed.view(batch, tokens, 3, -1, head_width).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(-1, -2) / head_width**0.5).softmax(-1)
    joined = (weights @ value).transpose(1, 2).reshape(batch, tokens, width)
    return attention.out_proj(joined), weights


def _relevance(cosine: Tensor, attentions: list[Tensor]) -> Float[Tensor, "G G"]:
    gradients = torch.autograd.grad(cosine, attentions, retain_graph=True)
    tokens = attentions[0].shape[-1]
    relevance = torch.eye(tokens, device=cosine.device)
    for attention, gradient in zip(attentions, gradients, strict=True):
        mean = (attention * gradient).detach().clamp(min=0).mean(1)[0]  # (P, P), Eq. 5
        relevance = relevance + mean @ relevance  # Eq. 6
    grid = round((tokens - 1) ** 0.5)
    return relevance[0, 1:].reshape(grid, grid)  # the class token's row


def _cosines(feature: Float[Tensor, "1 D"], texts: Float[Tensor, "L D"]) -> Float[Tensor, " L"]:
    return (F.normalize(feature, dim=-1) @ texts.T.to(feature.device))[0]


def _lay_back(
    backbone: ClipBackbone, image: UInt8[np.ndarray, "H W 3"], small: Float[Tensor, "L G G"]
) -> Float[np.ndarray, "L H W"]:
    """Stretch maps of the network's input over the part of the picture that it saw; 0 elsewhere."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (round(edge) for edge in backbone.preprocess.crop((height, width)))
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    out = np.zeros((len(small), height, width), np.float32)
    for index, values in enumerate(small.cpu().float().numpy()):
        stretched = np.asarray(Image.fromarray(values).resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC))
        out[index, y0:y1, x0:x1] = stretched[: height - y0, : width - x0]
    return out
