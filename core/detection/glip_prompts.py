"""Prompts: a class list or a sentence as one string, and which tokens stand for which label.

As in microsoft/GLIP at 9dda955 (engine/inference.py, engine/predictor_glip.py; paper Sec. 3.1): evaluation cleans
names and joins them with '. '; the demo joins with ' . ' and ends with it, which `DEMO` keeps. A label's tokens are
those from the first to the last character of its span. More labels than fit into a prompt are split over several,
which the demo does not do: there, labels beyond the 256th token can silently never be found.

Legend: N labels, T tokens.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from tokenizers import Encoding, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from torch import Tensor

SEPARATOR, DEMO_SEPARATOR = ". ", " . "
MOST_TOKENS = 256  # MODEL.LANGUAGE_BACKBONE.MAX_QUERY_LEN
LABELS_A_PROMPT = 40  # TEST.CHUNKED_EVALUATION, as for LVIS
START, END, UNKNOWN, PAD = "[CLS]", "[SEP]", "[UNK]", "[PAD]"
SPECIAL = (PAD, UNKNOWN, START, END)
SIGNS = "|:;@()[]{}^'\"’`?$%#!&*+,."  # that the released demo takes out of noun phrases
Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A string, and for each label the spans of characters that name it; `labels` are its places in the whole list."""

    text: str
    spans: tuple[tuple[Span, ...], ...]
    labels: tuple[int, ...]


def clean_name(name: str) -> str:
    """Return a class name as evaluation writes it: no '(...)', no '_', one double blank made single."""
    return re.sub(r"\(.*\)", "", name).replace("_", " ").replace("  ", " ")


def class_prompt(
    names: Sequence[str], *, separator: str = SEPARATOR, ending: str = "", first_label: int = 0, cleaned: bool = True
) -> Prompt:
    """Return the names in a row, each a label."""
    text, spans = "", []
    for place, name in enumerate(names):
        text += separator if place else ""
        shown = clean_name(name) if cleaned else name
        spans.append(((len(text), len(text) + len(shown)),))
        text += shown
    return Prompt(text=text + ending, spans=tuple(spans), labels=tuple(range(first_label, first_label + len(names))))


def demo_prompt(names: Sequence[str]) -> Prompt:
    """Return the names as the released demo joins them: not cleaned, with a separator after the last."""
    return class_prompt(names, separator=DEMO_SEPARATOR, ending=DEMO_SEPARATOR, cleaned=False)


def described_prompt(described: Sequence[tuple[str, str, str]], *, separator: str = SEPARATOR) -> Prompt:
    """Return names with what stands before and after them (prefix, name, suffix); only the name is the label's."""
    text, spans = "", []
    for place, (prefix, name, suffix) in enumerate(described):
        text += (separator if place else "") + prefix
        spans.append(((len(text), len(text) + len(name)),))
        text += name + suffix
    return Prompt(text=text, spans=tuple(spans), labels=tuple(range(len(described))))


def named_spans(text: str, names: Sequence[str]) -> list[Span]:
    """Return where each name first stands in a text, as it is written; names that do not stand in it are left out."""
    return [(first, first + len(name)) for name in names if (first := text.find(name)) >= 0]


def phrase_spans(text: str, phrases: Sequence[str]) -> list[Span]:
    """Return every place of each phrase in a text, letters of either case; each place is an entity of its own.

    As in the released demo, signs are taken out of a phrase first, so that one that holds some is not found again.
    """
    plain = [phrase.translate(str.maketrans("", "", SIGNS)).strip() for phrase in phrases]
    return [found.span() for phrase in plain for found in re.finditer(re.escape(phrase.lower()), text.lower())]


def chunked_prompts(
    names: Sequence[str], count: Callable[[str], int], *, most_tokens: int = MOST_TOKENS, most: int = LABELS_A_PROMPT
) -> list[Prompt]:
    """Return as few prompts in the list's order as hold `most` labels and `most_tokens` tokens each.

    `count` says how many tokens a text has, with the two special ones.
    """
    lengths = [count(clean_name(name)) - 2 for name in names]
    between = count(SEPARATOR.strip()) - 2
    prompts, first, used = [], 0, 2
    for place, length in enumerate(lengths):
        more = length + (between if place > first else 0)
        if place > first and (used + more > most_tokens or place - first == most):
            prompts.append(class_prompt(names[first:place], first_label=first))
            first, used, more = place, 2, length
        used += more
    prompts.append(class_prompt(names[first:], first_label=first))
    return prompts


def span_tokens(encoding: Encoding, span: Span) -> range | None:
    """Return the tokens from a span's first character to its last, None where no token is there.

    Where a character has no token (a blank), the next two are tried from the left, and from the right the two before
    the last but one.
    """
    begin, end = span
    first = next((t for c in range(begin, begin + 3) if (t := encoding.char_to_token(c)) is not None), None)
    ends = (end - 1, end - 2, end - 3)
    last = next((t for c in ends if c >= 0 and (t := encoding.char_to_token(c)) is not None), None)
    return None if first is None or last is None else range(first, last + 1)


def tokens_of_labels(
    encoding: Encoding, spans: Sequence[Sequence[Span]], most_tokens: int = MOST_TOKENS
) -> list[tuple[int, ...]]:
    """Return the tokens of each label, of all its spans; those beyond `most_tokens` are left out."""
    found = []
    for each in spans:
        tokens = {t for span in each for t in (span_tokens(encoding, span) or ()) if t < most_tokens}
        found.append(tuple(sorted(tokens)))
    return found


def positive_map(labels: Sequence[Sequence[int]], tokens: int = MOST_TOKENS) -> Float[Tensor, "N T"]:
    """Return 1 over the number of its tokens at each token of a label."""
    found = torch.zeros(len(labels), tokens)
    for row, own in zip(found, labels, strict=True):
        row[[t for t in own if t < tokens]] = 1.0
    return found / (found.sum(-1, keepdim=True) + 1e-6)


def word_tokenizer(vocabulary: Sequence[str]) -> Tokenizer:
    """Return BERT's way of splitting text over a vocabulary: lower case, punctuation apart, longest pieces first."""
    ids = {word: place for place, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(WordPiece(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing((END, ids[END]), (START, ids[START]))
    return tokenizer


def batch_of(encodings: Sequence[Encoding], pad: int = 0) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Return ids and mask, padded to the longest."""
    longest = max(len(encoding.ids) for encoding in encodings)
    ids = torch.full((len(encodings), longest), pad)
    mask = torch.zeros(len(encodings), longest, dtype=torch.long)
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding.ids)] = torch.tensor(encoding.ids)
        mask[row, : len(encoding.ids)] = 1
    return ids, mask
