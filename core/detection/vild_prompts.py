"""The sentences in which ViLD's text embeddings say a word.

Paper: Gu et al. 2022, https://arxiv.org/abs/2104.13921, App. D. Templates and rules are those of the authors' public
notebook (ViLD_demo.ipynb of tensorflow/tpu, Apache-2.0). A slip of its is kept, because its embeddings have it: every
sentence that begins with the letters 'a' or 'the' is put after 'This is '.
"""

PAPER = (
    "There is {article} {} in the scene.",
    "There is the {} in the scene.",
    "a photo of {article} {} in the scene.",
    "a photo of the {} in the scene.",
    "a photo of one {} in the scene.",
    "itap of {article} {}.",
    "itap of my {}.",
    "itap of the {}.",
    "a photo of {article} {}.",
    "a photo of my {}.",
    "a photo of the {}.",
    "a photo of one {}.",
    "a photo of many {}.",
    "a good photo of {article} {}.",
    "a good photo of the {}.",
    "a bad photo of {article} {}.",
    "a bad photo of the {}.",
    "a photo of a nice {}.",
    "a photo of the nice {}.",
    "a photo of a cool {}.",
    "a photo of the cool {}.",
    "a photo of a weird {}.",
    "a photo of the weird {}.",
    "a photo of a small {}.",
    "a photo of the small {}.",
    "a photo of a large {}.",
    "a photo of the large {}.",
    "a photo of a clean {}.",
    "a photo of the clean {}.",
    "a photo of a dirty {}.",
    "a photo of the dirty {}.",
    "a bright photo of {article} {}.",
    "a bright photo of the {}.",
    "a dark photo of {article} {}.",
    "a dark photo of the {}.",
    "a photo of a hard to see {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of {article} {}.",
    "a low resolution photo of the {}.",
    "a cropped photo of {article} {}.",
    "a cropped photo of the {}.",
    "a close-up photo of {article} {}.",
    "a close-up photo of the {}.",
    "a jpeg corrupted photo of {article} {}.",
    "a jpeg corrupted photo of the {}.",
    "a blurry photo of {article} {}.",
    "a blurry photo of the {}.",
    "a pixelated photo of {article} {}.",
    "a pixelated photo of the {}.",
    "a black and white photo of the {}.",
    "a black and white photo of {article} {}.",
    "a plastic {}.",
    "the plastic {}.",
    "a toy {}.",
    "the toy {}.",
    "a plushie {}.",
    "the plushie {}.",
    "a cartoon {}.",
    "the cartoon {}.",
    "an embroidered {}.",
    "the embroidered {}.",
    "a painting of the {}.",
    "a painting of a {}.",
)
ONE = ("a photo of {article} {}.",)
TEMPLATES: dict[str, tuple[str, ...]] = {"one": ONE, "scene": PAPER[:5], "paper": PAPER}
VOWELS = "aeiou"  # lower case only: 'Apple' gets 'a'
PREFIX, PREFIXED = "This is ", ("a", "the")


def article(name: str) -> str:
    """Return 'a' or 'an' by a raw name's first letter."""
    return "an" if name[:1] and name[0] in VOWELS else "a"


def processed(name: str) -> str:
    """Return a data set's name as a person would write it."""
    return name.replace("_", " ").replace("/", " or ").lower().rstrip(".")


def plain(template: str, name: str) -> str:
    """Put a raw name and its article into a template."""
    return template.replace("{article}", article(name)).replace("{}", processed(name))


def sentences(name: str, templates: tuple[str, ...] = PAPER, *, prefix: bool = True) -> tuple[str, ...]:
    """Return what the text tower reads for a raw name."""
    said = [plain(template, name) for template in templates]
    return tuple(PREFIX + each if prefix and each.startswith(PREFIXED) else each for each in said)
