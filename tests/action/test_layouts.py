"""The key layouts that ActionCLIP comes in: mmaction2's at full size, and the embedded one beside its image tower."""

import pytest
import torch
from safetensors.torch import save_file

from core import checkpoints
from core.action.fusion import Transf
from core.action.layouts import embedded_parts, is_embedded, is_mmaction, mmaction_parts, sha256, text_heads, under
from core.backbones.clip_model import build, size_of
from tests.tiny import RESNET, tiny_backbone

PARAMETERS = 170_195_713  # OpenAI's ViT-B/32, six blocks of width 512 and eight places in time


def block_shapes(prefix: str, width: int) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of one of CLIP's blocks, written down from openai/CLIP clip/model.py."""
    return {
        f"{prefix}attn.in_proj_weight": (3 * width, width),
        f"{prefix}attn.in_proj_bias": (3 * width,),
        f"{prefix}attn.out_proj.weight": (width, width),
        f"{prefix}attn.out_proj.bias": (width,),
        f"{prefix}ln_1.weight": (width,),
        f"{prefix}ln_1.bias": (width,),
        f"{prefix}mlp.c_fc.weight": (4 * width, width),
        f"{prefix}mlp.c_fc.bias": (4 * width,),
        f"{prefix}mlp.c_proj.weight": (width, 4 * width),
        f"{prefix}mlp.c_proj.bias": (width,),
        f"{prefix}ln_2.weight": (width,),
        f"{prefix}ln_2.bias": (width,),
    }


def full_size() -> dict[str, torch.Tensor]:
    """Return mmaction2's vit-b-32-8f by names and shapes, without numbers."""
    shapes: dict[str, tuple[int, ...]] = {
        "clip.positional_embedding": (77, 512),
        "clip.text_projection": (512, 512),
        "clip.logit_scale": (),
        "clip.visual.class_embedding": (768,),
        "clip.visual.positional_embedding": (50, 768),
        "clip.visual.proj": (768, 512),
        "clip.visual.conv1.weight": (768, 3, 32, 32),
        "clip.token_embedding.weight": (49408, 512),
        "adapter.frame_position_embeddings.weight": (8, 512),
    }
    for name, width in (("visual.ln_pre", 768), ("visual.ln_post", 768), ("ln_final", 512)):
        shapes |= {f"clip.{name}.weight": (width,), f"clip.{name}.bias": (width,)}
    for place in range(12):
        shapes |= block_shapes(f"clip.visual.transformer.resblocks.{place}.", 768)
        shapes |= block_shapes(f"clip.transformer.resblocks.{place}.", 512)
    for place in range(6):
        shapes |= block_shapes(f"adapter.transformer.resblocks.{place}.", 512)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def shapes_of(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def test_the_published_file_fits_name_by_name_at_full_size():
    tensors = full_size()
    assert sum(value.numel() for value in tensors.values()) == PARAMETERS
    assert is_mmaction(tensors)
    clip, adapter = under(tensors, "clip."), under(tensors, "adapter.")
    with torch.device("meta"):
        tower = build(size_of(clip))
        head = Transf(512, text_heads(clip), positions=8)
    assert shapes_of(tower) == {name: value.shape for name, value in clip.items()}
    assert shapes_of(head) == {name: value.shape for name, value in adapter.items()}
    assert head.transformer.resblocks[0].attn.num_heads == 8


def test_the_mmaction_head_knows_its_frames_and_comes_with_the_mean_to_compare():
    clip = {f"clip.{k}": v for k, v in tiny_backbone().model.state_dict().items()}
    adapter = {f"adapter.{k}": v for k, v in Transf(16, 1, layers=2, positions=5).state_dict().items()}
    parts = mmaction_parts(clip | adapter)
    assert parts.frames == 5
    assert set(parts.heads) == {"Transf", "meanP"}


@pytest.fixture
def tower(tmp_path, monkeypatch):
    """Return an embedded CLIP's tensors, its card's entry, and the file they lie in."""
    tensors = tiny_backbone(RESNET).model.state_dict()
    path = tmp_path / "toybox-tiny.safetensors"
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)
    card = checkpoints.Weights(name="toybox-tiny", system="clip", path=path)
    monkeypatch.setattr(checkpoints, "resolve", lambda system, name: card)
    entry = {"image_tower": {"weights": "toybox-tiny", "sha256": sha256(path)}, "recipe": {"frames": 3}}
    return tensors, entry, path


def own(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return what an embedded file holds: the tuned last stage, the text tower, and one head."""
    tuned = {k: v + 1 for k, v in tensors.items() if k.startswith("visual.layer4.0.conv1")}
    text = {k: v for k, v in tensors.items() if not k.startswith("visual.")}
    head = {f"heads.Transf.{k}": v for k, v in Transf(16, 1, layers=1, positions=3).state_dict().items()}
    return {f"clip.{k}": v for k, v in (tuned | text).items()} | head


def test_an_embedded_file_takes_the_rest_of_its_image_tower_from_the_embedded_clip(tower):
    tensors, card, _ = tower
    file = own(tensors)
    assert is_embedded(file)
    assert not is_mmaction(file)
    parts = embedded_parts(file, card)
    assert set(parts.clip) == set(tensors)
    assert torch.equal(parts.clip["visual.layer4.0.conv1.weight"], tensors["visual.layer4.0.conv1.weight"] + 1)
    assert torch.equal(parts.clip["visual.layer1.0.conv1.weight"], tensors["visual.layer1.0.conv1.weight"])
    assert (set(parts.heads), parts.frames) == ({"Transf", "meanP"}, 3)


def test_an_embedded_clip_that_was_trained_anew_is_noticed(tower):
    tensors, card, path = tower
    save_file({k: v.contiguous() + 1 for k, v in tensors.items()}, path)
    with pytest.raises(ValueError, match="trained on another toybox-tiny than the one that is here"):
        embedded_parts(own(tensors), card)
