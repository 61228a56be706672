"""What is trained on what, and how: one frozen recipe a network."""

from dataclasses import dataclass
from typing import Any

from core.backbones.clip_model import ClipSize
from core.train.actionclip import ActionRecipe
from core.train.clip4clip import Clip4ClipRecipe
from core.train.groupvit import GroupVitRecipe
from core.train.lseg import LsegRecipe
from core.train.places import PlacesRecipe
from core.train.sam import SamRecipe


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


RECIPES: dict[str, Any] = {
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
    "clip4clip": Clip4ClipRecipe(),
    "actionclip": ActionRecipe(),
    "lseg": LsegRecipe(),
    "groupvit": GroupVitRecipe(),
    "sam": SamRecipe(),
    "depthclip": PlacesRecipe(checkpoint="toybox-places", start="toybox-resnet"),
    "pointclip": AdapterRecipe(checkpoint="toybox-resnet-pointclip", backbone="toybox-resnet"),
}
