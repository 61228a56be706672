"""Textual prompts: the 16 sentences around a label, and where in them the label stands.

Paper: Wang et al. 2021, ActionCLIP, Sec. 3.3, https://arxiv.org/abs/2109.08472. The sentences and their order are those
of sallymmx/ActionCLIP at 31c34df, utils/Text_Prompt.py. Different from it: the paper's kind of a prompt is read off the
place of its label, so that a user's own template has one too.
"""

from typing import Literal

from core.prompts import check_templates

Kind = Literal["prefix", "cloze", "suffix", "bare"]

TEMPLATES = (
    "a photo of action {}",
    "a picture of action {}",
    "Human action of {}",
    "{}, an action",
    "{} this is an action",
    "{}, a video of action",
    "Playing action of {}",
    "{}",
    "Playing a kind of action, {}",
    "Doing a kind of action, {}",
    "Look, the human is {}",
    "Can you recognize the action of {}?",
    "Video classification of {}",
    "A video of {}",
    "The man is {}",
    "The woman is {}",
)
ONE_OF_EACH_KIND = ("a photo of action {}", "{}, an action", "Can you recognize the action of {}?", "{}")
TEMPLATE_SETS: dict[str, tuple[str, ...]] = {
    "1 template": ("A video of {}",),
    "4 templates": ONE_OF_EACH_KIND,
    "16 templates": TEMPLATES,
}


def kind(template: str) -> Kind:
    """Say where a template puts words: before the label (prefix), after it (suffix), around it (cloze) or nowhere."""
    before, _, after = check_templates([template])[0].partition("{}")
    if before and after:
        return "cloze"
    return "prefix" if before else "suffix" if after else "bare"
