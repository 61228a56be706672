"""New words for a CLIP whose token table holds only the rows that its training saw."""

import torch
from jaxtyping import Int
from open_clip.model import CLIP
from torch import Tensor

from core.backbones.clip_model import CompactEmbedding
from core.backbones.tokenizer import clip_tokenizer


def grow(model: CLIP, tokens: Int[Tensor, "..."], generator: torch.Generator) -> int:
    """Give every token that has no row of its own one, and return how many there were.

    A new row is the unknown one, which the network knows to read, moved at random by as much as rows differ: two new
    words must not begin as the same.
    """
    table = model.token_embedding
    if not isinstance(table, CompactEmbedding):
        return 0
    known = table.token_ids.long()
    asked = torch.unique(tokens.long())
    new = asked[(asked != 0) & ~torch.isin(asked, known)]
    if len(new) == 0:
        return 0
    grown = CompactEmbedding(torch.cat([known, new]), table.weight.shape[1])
    unknown, rows = table.weight.detach()[-1:], table.weight.detach()[:-1]
    moved = unknown + rows.std() * torch.randn(len(new), rows.shape[1], generator=generator)
    with torch.no_grad():
        grown.weight.copy_(torch.cat([rows, moved, unknown]))
    model.token_embedding = grown
    return len(new)


def knows(model: CLIP, word: str) -> bool:
    """Say whether each token of a word has a row of its own."""
    table = model.token_embedding
    if not isinstance(table, CompactEmbedding):
        return True
    ids = torch.tensor(clip_tokenizer().encode(word))
    return bool(torch.isin(ids, table.token_ids.long()).all())
