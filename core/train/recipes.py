"""What is trained on what, and how: one frozen recipe a network."""

from dataclasses import dataclass, replace
from typing import Any

from core.backbones.clip_model import ClipSize
from core.train.actionclip import ActionRecipe
from core.train.clip4clip import Clip4ClipRecipe
from core.train.finetune import FineTuneRecipe
from core.train.glip import GlipRecipe
from core.train.glip_tuning import GlipTuningRecipe
from core.train.groupvit import GroupVitRecipe
from core.train.lseg import LsegRecipe
from core.train.places import PlacesRecipe
from core.train.presets import CATEGORIES as PRESET_CATEGORIES
from core.train.probe import ProbeRecipe
from core.train.sam import SamRecipe
from core.train.sam_decoder import SamDecoderRecipe
from core.train.vild import VildRecipe


@dataclass(frozen=True, kw_only=True)
class ClipRecipe:
    """A CLIP from nothing, on Toybox pictures with their sentences and on photographs with their class names.

    Photographs are optional: without a folder of them every pair comes from the Toybox.
    """

    checkpoint: str  # name of the file in assets/checkpoints
    vision_layers: tuple[int, int, int, int] | int
    vision_width: int
    patch_size: int | None
    teacher: str | None = None  # weights whose image tower is imitated and whose text tower is taken over, frozen
    image_size: int = 64
    embed_dim: int = 128
    text_width: int = 128
    text_layers: int = 3
    context_length: int = 32
    toybox_pictures: int = 80_000  # drawn once, then seen from many crops
    batch_toys: int = 88
    batch_photos: int = 80
    steps: int = 9_000
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.04  # share of the run
    class_weight: float = 0.5  # of the class-prompt loss against the contrastive one
    autocast_dtype: str | None = None  # of the image tower: a ViT takes half the time in bfloat16
    seed: int = 0
    text_share: float = 1.0  # of the learning rate for the text tower and the temperature
    token_deviation: float = 0.02  # of the token table at the start
    residual_start: float = 0.0  # gain of a ResNet block's branch at the start; open_clip: none
    categories: tuple[str, ...] = ()  # with a name here: pictures of one of these things each, and no other words
    minutes: float | None = None  # by the clock, drawing and measuring included
    validate_steps: int = 400
    seen_steps: int = 400  # the matrix of pictures and captions is written this often

    def size(self, vocabulary: int) -> ClipSize:
        """Return the architecture's numbers for a token table of this many rows."""
        return ClipSize(
            embed_dim=self.embed_dim,
            image_size=self.image_size,
            vision_layers=self.vision_layers,
            vision_width=self.vision_width,
            patch_size=self.patch_size,
            context_length=self.context_length,
            vocab_size=vocabulary,
            text_width=self.text_width,
            text_layers=self.text_layers,
        )


@dataclass(frozen=True, kw_only=True)
class AdapterRecipe:
    """PointCLIP's adapter on a frozen CLIP; rates as in PointCLIP's own training where nothing else is said."""

    checkpoint: str  # name of the file in assets/checkpoints: the backbone's with -pointclip
    backbone: str
    shots: int = 16  # clouds a category
    copies: int = 6  # of each, stretched and moved
    batch: int = 32
    steps: int = 2_400
    learning_rate: float = 0.01
    warmup: float = 0.0
    max_gradient_norm: float = float("inf")  # the release does not clip, and the CLIP's features are long
    weight_decay: float = 5e-4
    seed: int = 0


THREE_MINUTES = ClipRecipe(
    checkpoint="toybox-3-minutes",
    vision_layers=(1, 1, 1, 1),
    vision_width=8,
    patch_size=None,
    embed_dim=64,
    text_width=64,
    text_layers=1,
    context_length=24,
    toybox_pictures=4_000,  # more of them are better, but take longer to draw
    batch_toys=48,
    steps=100_000,  # more than the minutes allow
    class_weight=1.0,
    text_share=0.25,  # at the full rate the sentences all become one vector, and nothing is learnt for minutes
    token_deviation=0.1,  # so that sentences are further apart at the start
    residual_start=1.0,
    categories=PRESET_CATEGORIES,
    minutes=3.0,
    validate_steps=60,
    seen_steps=20,
)
SYSTEM_OF = {  # recipes whose weights are another system's than their name says
    **dict.fromkeys(("clip-vit", "clip-3-minutes", "clip-30-minutes"), "clip"),
    **dict.fromkeys(("clip-finetune", "clip-lora", "clip-probe"), "clip"),
    "glip-large": "glip",
    "clip4clip-heads": "clip4clip",
    "actionclip-heads": "actionclip",
    "lseg-large": "lseg",
    **dict.fromkeys(("sam-large", "sam-decoder"), "sam"),
    **dict.fromkeys(("glip-prompt", "glip-finetune"), "glip"),
}
RECIPES: dict[str, Any] = {
    "clip-3-minutes": THREE_MINUTES,
    "clip-30-minutes": replace(
        THREE_MINUTES,
        checkpoint="toybox-30-minutes",
        vision_width=16,
        text_layers=2,
        toybox_pictures=24_000,
        batch_toys=96,
        minutes=30.0,
        validate_steps=200,
    ),
    "clip": ClipRecipe(checkpoint="toybox-resnet", vision_layers=(1, 2, 2, 2), vision_width=20, patch_size=None),
    "clip-vit": ClipRecipe(
        checkpoint="toybox-vit",
        vision_layers=5,
        vision_width=128,
        patch_size=8,
        teacher="toybox-resnet",
        steps=4_500,
        learning_rate=1.5e-3,
        autocast_dtype="bfloat16",
    ),
    "clip-finetune": FineTuneRecipe(checkpoint="finetuned", method="full"),
    "clip-lora": FineTuneRecipe(checkpoint="finetuned-lora", method="lora", learning_rate=3e-3),
    "clip-probe": ProbeRecipe(checkpoint="probe"),
    "clip4clip": Clip4ClipRecipe(),
    "clip4clip-heads": Clip4ClipRecipe(  # four heads in a minute, on kept features
        checkpoint="clip4clip-heads", start="toybox-clip4clip", clips=500, word_steps=0, steps=120
    ),
    "actionclip": ActionRecipe(),
    "actionclip-heads": ActionRecipe(  # likewise
        checkpoint="actionclip-heads",
        start="toybox-actionclip",
        films=1_000,
        turn_weight=0.0,
        turn_first=0.0,
        spinning_until=0.0,
        steps=300,
    ),
    "lseg": LsegRecipe(),
    "lseg-large": LsegRecipe(  # what the first learnt, on larger pictures
        start="toybox-lseg",
        picture=192,
        crop=160,
        batch_annotated=7,
        batch_plain=6,
        steps=11_000,
        learning_rate=6e-4,
        least_region=40,
    ),
    "groupvit": GroupVitRecipe(),
    "sam": SamRecipe(),
    "sam-large": SamRecipe(  # as above
        start="toybox-sam", image_size=192, batch=6, steps=2_500, learning_rate=3e-4
    ),
    "sam-decoder": SamDecoderRecipe(),
    "vild": VildRecipe(),
    "glip": GlipRecipe(),
    "glip-large": GlipRecipe(  # as above, with pseudo boxes from the start on
        start="toybox-glip",
        picture=224,
        annotated=9_000,
        plain=6_000,
        batch=8,
        batch_pseudo=3,
        imitation_share=0.0,
        pseudo_share=0.0,
        naming_weight=0.5,
        steps=3_000,
        learning_rate=6e-4,
    ),
    "glip-prompt": GlipTuningRecipe(),
    "glip-finetune": GlipTuningRecipe(
        checkpoint="glip-finetuned", method="full", learning_rate=2e-4, weight_decay=0.02
    ),
    "depthclip": PlacesRecipe(checkpoint="toybox-places", start="toybox-resnet"),
    "pointclip": AdapterRecipe(checkpoint="toybox-resnet-pointclip", backbone="toybox-resnet"),
}
