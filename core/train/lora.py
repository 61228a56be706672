"""Low-rank adapters in both towers of a CLIP, through peft.

Paper: Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models, ICLR, https://arxiv.org/abs/2106.09685. There
the attention's matrices are adapted; here the two matrices of every transformer block's MLP, and in a ResNet the
convolutions of its blocks: open_clip's attention reads its weights past any adapter around them.
"""

import copy
import re

import torch
from open_clip.model import CLIP
from torch import nn

from core.backbones.clip_model import CompactEmbedding

ADAPTED = re.compile(r"(visual\.)?transformer\.resblocks\.\d+\.mlp\.c_(fc|proj)|visual\.layer\d\.\d+\.conv\d")


def adapt(model: CLIP, rank: int, new_words: int) -> CLIP:
    """Put adapters of this rank beside the weights, which are frozen; rows of new words go on learning."""
    from peft import LoraConfig, inject_adapter_in_model

    names = [name for name, _ in model.named_modules() if ADAPTED.fullmatch(name)]
    adapted = inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names, init_lora_weights=True), model
    )
    for name, parameter in adapted.named_parameters():
        parameter.requires_grad_("lora_" in name)
    if new_words and isinstance(model.token_embedding, CompactEmbedding):
        weight = model.token_embedding.weight.requires_grad_(True)
        learns = torch.zeros(len(weight), 1)
        learns[-1 - new_words : -1] = 1  # the last row is that of unknown words
        weight.register_hook(lambda gradient: gradient * learns.to(gradient.device))
    return adapted


def merged(model: CLIP) -> CLIP:
    """Return a copy with the adapters added to the weights and taken away: a CLIP like any other."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain = copy.deepcopy(model)
    for name, module in list(plain.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(plain.get_submodule(parent), child, module.get_base_layer())
    return plain


def keep_statistics(model: nn.Module) -> None:
    """Let batch normalisations use what they know and learn nothing: their weights are frozen."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
