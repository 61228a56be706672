"""GLIP at GLIP-T's full size with random weights, on the CPU: against Grounding DINO, and new words on one picture."""

from typing import Any

import numpy as np

from core.bench.measure import paired, report

WORDS = ("cat", "dog", "person", "red car", "traffic light", "umbrella", "bicycle", "bench", "bird", "house")
NEW_WORDS = ("tree", "truck", "blue bag", "boat", "horse", "hat", "road sign", "bottle", "chair", "lamp")
SHORT_SIDE, PICTURE_HW = 480, (480, 640)
REPEATS = 3


def glip_picture() -> dict[str, Any]:
    """Ask ten words about a picture, short side 480, against transformers' Grounding DINO tiny on the same cores."""
    model, picture = _random_glip(), _picture()
    rival = _grounding_dino()

    def ours() -> Any:
        model.forget()
        return model.detect(picture, WORDS)

    times = paired(ours, lambda: rival(picture, WORDS), repeats=REPEATS)
    return report(*times, "transformers' Grounding DINO tiny, random weights, the same picture and words")


def glip_new_words() -> dict[str, Any]:
    """Ask new words about a picture that was just looked at, as a share of the first question's time."""
    model, picture = _random_glip(), _picture()

    def first() -> Any:
        model.forget()
        return model.detect(picture, WORDS)

    first()
    times = paired(lambda: model.detect(picture, NEW_WORDS), first, repeats=REPEATS, warm=False)
    return report(*times, "the first words", inverse=True) | {"kept": "the pyramid of the picture"}


def glip_few_tokens() -> dict[str, Any]:
    """Ask ten words with a prompt as long as they need, against the released one, which is padded to 256 tokens."""
    import torch

    from core.detection.glip_prompts import MOST_TOKENS

    model, picture = _random_glip(), _picture()
    look = model.look(picture, model.defaults)
    ids = torch.randint(1000, 2000, (1, MOST_TOKENS))
    lengths = {"short": model.count_tokens(". ".join(WORDS)), "padded": MOST_TOKENS}
    mask = (torch.arange(MOST_TOKENS) < lengths["short"]).long()[None]

    def asked(length: int) -> Any:
        with torch.inference_mode():
            return model.network(list(look.maps), ids[:, :length], mask[:, :length])

    times = paired(lambda: asked(lengths["short"]), lambda: asked(lengths["padded"]), repeats=REPEATS)
    return report(*times, "the same words padded to 256 tokens, as released") | {"tokens": lengths["short"]}


def _random_glip() -> Any:
    """Return GLIP-T with random weights and a vocabulary of the words that are asked, on the CPU."""
    import torch

    from core.checkpoints import Weights
    from core.detection.glip import Glip, GlipSettings
    from core.detection.glip_model import GlipNetwork
    from core.detection.glip_prompts import word_tokenizer
    from core.device import choose

    torch.manual_seed(0)
    network = GlipNetwork().eval().requires_grad_(False)
    settings = GlipSettings(short_side=SHORT_SIDE, least=0.0)
    return Glip(
        network, word_tokenizer(_words()), Weights(name="random GLIP-T", system="glip"), choose("cpu"), settings
    )


def _words() -> tuple[str, ...]:
    from core.detection.glip_prompts import SPECIAL

    parts = sorted({part for word in (*WORDS, *NEW_WORDS) for part in word.split()})
    return (*SPECIAL, ".", *parts)


def _grounding_dino() -> Any:
    """Return a function from a picture and words to Grounding DINO tiny's answer; random weights, no download."""
    import torch
    from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    from core.detection.glip_frame import network_input
    from core.detection.glip_prompts import batch_of, class_prompt, word_tokenizer

    torch.manual_seed(0)
    config = GroundingDinoConfig(  # the sizes of IDEA-Research/grounding-dino-tiny
        backbone_config=SwinConfig(
            embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7, out_indices=[2, 3, 4]
        ),
        text_config=BertConfig(),
    )
    model = GroundingDinoForObjectDetection(config).eval().requires_grad_(False)
    tokenizer = word_tokenizer(_words())

    def ask(picture: np.ndarray, words: tuple[str, ...]) -> Any:
        inputs, _ = network_input(picture, SHORT_SIDE)
        ids, mask = batch_of([tokenizer.encode(class_prompt(words, ending=".").text)])
        pixels = torch.ones(inputs.shape[0], *inputs.shape[2:], dtype=torch.long)
        with torch.inference_mode():
            return model(
                pixel_values=inputs,
                pixel_mask=pixels,
                input_ids=ids,
                attention_mask=mask,
                token_type_ids=torch.zeros_like(ids),
            )

    return ask


def _picture() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (PICTURE_HW[0] // 32, PICTURE_HW[1] // 32, 3), np.uint8)
    return small.repeat(32, 0).repeat(32, 1)
