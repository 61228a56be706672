"""Prompt templates, and turning what a user typed into labels.

Paper: Radford et al. 2021 (CLIP), Sec. 3.1.4, https://arxiv.org/abs/2103.00020. The sets of 7 and 80 are those of
openai/CLIP, notebooks/Prompt_Engineering_for_ImageNet.ipynb (MIT licence).
"""

import re
from collections.abc import Sequence

from core.results import unique_labels

MOST_LABELS = 1000
OPENAI_7 = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
OPENAI_80 = (
    "a bad photo of a {}.",
    "a photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a photo of a hard to see {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a drawing of a {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a painting of the {}.",
    "a painting of a {}.",
    "a pixelated photo of the {}.",
    "a sculpture of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a plastic {}.",
    "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a rendering of the {}.",
    "a {} in a video game.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a close-up photo of the {}.",
    "a photo of a {}.",
    "the origami {}.",
    "the {} in a video game.",
    "a sketch of a {}.",
    "a doodle of the {}.",
    "a origami {}.",
    "a low resolution photo of a {}.",
    "the toy {}.",
    "a rendition of the {}.",
    "a photo of the clean {}.",
    "a photo of a large {}.",
    "a rendition of a {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a blurry photo of a {}.",
    "a cartoon {}.",
    "art of a {}.",
    "a sketch of the {}.",
    "a embroidered {}.",
    "a pixelated photo of a {}.",
    "itap of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a plushie {}.",
    "a photo of the nice {}.",
    "a photo of the small {}.",
    "a photo of the weird {}.",
    "the cartoon {}.",
    "art of the {}.",
    "a drawing of the {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "the plushie {}.",
    "a dark photo of a {}.",
    "itap of a {}.",
    "graffiti of the {}.",
    "a toy {}.",
    "itap of my {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "a tattoo of the {}.",
)
TEMPLATES: dict[str, tuple[str, ...]] = {
    "bare word": ("{}",),
    "one template": ("a photo of a {}.",),
    "OpenAI 7": OPENAI_7,
    "OpenAI 80": OPENAI_80,
}


def fill(template: str, label: str) -> str:
    """Put a label in a template's {}; braces in the label itself are left alone."""
    return template.replace("{}", label)


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Return the templates stripped and without empty ones; ValueError where one has no {} or none is left."""
    kept = tuple(stripped for template in templates if (stripped := template.strip()))
    if not kept:
        raise ValueError("Write at least one template, for example: a photo of a {}.")
    wrong = next((template for template in kept if template.count("{}") != 1), None)
    if wrong is not None:
        raise ValueError(f"Each template needs {{}} exactly once, where the label goes; this one has not: {wrong}")
    return kept


def parse_labels(text: str) -> tuple[str, ...]:
    """Split what a user typed at commas, semicolons and line ends (Chinese ones too), each label once.

    Raises ValueError, in words for the user, for no label and for more than MOST_LABELS.
    """
    labels = unique_labels(re.split(r"[,;\n，；、]", text))
    if not labels:
        raise ValueError("Write at least one label, for example: dog, cat, car")
    if len(labels) > MOST_LABELS:
        raise ValueError(f"Give at most {MOST_LABELS} labels; these are {len(labels)}.")
    return labels
