"""CLIP's byte-pair encoding, token for token as openai/CLIP clip/simple_tokenizer.py gives it.

open_clip ships the vocabulary and the algorithm; it only spells the start and end tokens differently, which matters
when a text contains them. The end token is the highest id, by which the text tower finds the end.
"""

import functools

import regex
from open_clip.tokenizer import SimpleTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


@functools.cache
def clip_tokenizer(context_length: int = 77) -> SimpleTokenizer:
    """Return a callable from texts to ids, (M, context_length) int64, padded with 0; longer texts are cut."""
    tokenizer = SimpleTokenizer(context_length=context_length)
    for name, index in ((START, tokenizer.sot_token_id), (END, tokenizer.eot_token_id)):
        tokenizer.encoder[name], tokenizer.decoder[index], tokenizer.cache[name] = index, name, name
    special = "|".join(regex.escape(name) for name in (START, END))
    tokenizer.pat = regex.compile(f"{special}|{WORDS}", regex.IGNORECASE)
    return tokenizer


def count_tokens(tokenizer: SimpleTokenizer, text: str) -> int:
    """Return how many tokens a text has with its start and end, before any cutting."""
    return len(tokenizer.encode(text)) + 2
