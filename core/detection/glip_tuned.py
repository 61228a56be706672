"""A class prompt that was tuned: what is added to the vector of each of its tokens, before places and tokens meet.

Paper: Li et al. 2022, Grounded Language-Image Pre-training, CVPR 2022, https://arxiv.org/abs/2112.03857, Sec. 5.2
(prompt tuning of models with deep fusion); microsoft/GLIP at 9dda955 (modeling/detector/generalized_vl_rcnn.py:
tunable_linear, for 'language_prompt_v2'). Different from it: what was learnt travels with the words that it was learnt
for, and with their order, and is added where just this prompt is read; every other prompt is as before.

Legend: B pictures, T tokens of the tuned prompt, N tokens of any prompt, L text width.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from core.detection.glip_prompts import Prompt, class_prompt, clean_name

KEY = "language_backbone.tuned."


class TunedPrompt(nn.Module):
    """Class names in their order, their tokens, and what each token's vector gains."""

    def __init__(self, names: Sequence[str], ids: Int[Tensor, " T"], width: int) -> None:
        super().__init__()
        self.register_buffer("words", torch.tensor(list("\n".join(names).encode()), dtype=torch.uint8))
        self.register_buffer("ids", ids)
        self.offset = nn.Parameter(torch.zeros(len(ids), width))

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, as the prompt has them."""
        return tuple(bytes(self.words.tolist()).decode().split("\n"))

    def forward(self, hidden: Float[Tensor, "B N L"], ids: Int[Tensor, "B N"]) -> Float[Tensor, "B N L"]:
        """Add what was learnt where a row's tokens are those of the tuned prompt."""
        length = len(self.ids)
        if ids.shape[1] < length:
            return hidden
        is_tuned = (ids[:, :length] == self.ids).all(1)[:, None, None]  # the last of them ends a prompt
        gain = nn.functional.pad(self.offset, (0, 0, 0, ids.shape[1] - length))
        return hidden + gain * is_tuned

    def asked(self, words: Sequence[str]) -> tuple[Prompt | None, list[int]]:
        """Return the tuned prompt for those of some words that it was learnt for, and the places of the others.

        The prompt is the whole one, whichever of its words are asked for; None where it knows none of them.
        """
        whole = class_prompt(self.names)
        spans = dict(zip(map(str.lower, self.names), whole.spans, strict=True))
        plain = [clean_name(word).lower().strip() for word in words]
        known = [place for place, word in enumerate(plain) if word in spans]
        others = [place for place, word in enumerate(plain) if word not in spans]
        if not known:
            return None, others
        return Prompt(text=whole.text, spans=tuple(spans[plain[i]] for i in known), labels=tuple(known)), others


def tuned_from(tensors: Mapping[str, Tensor]) -> TunedPrompt | None:
    """Return an empty tuned prompt of the shape that a file has, None where it has none."""
    if f"{KEY}words" not in tensors:
        return None
    names = bytes(tensors[f"{KEY}words"].tolist()).decode().split("\n")
    return TunedPrompt(names, tensors[f"{KEY}ids"], tensors[f"{KEY}offset"].shape[1])
