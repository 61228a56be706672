"""How fast the frames of a clip become features.

Weights are random and seeded: speed does not depend on them.
"""

from typing import Any

from core.bench.measure import paired, report

FRAMES, SIZE = 8, 224
REPEATS = 7


def frame_features() -> dict[str, Any]:
    """Encode the frames of one clip by a ViT-B/32, against transformers' X-CLIP frame encoder of the same size.

    X-CLIP's frames exchange messages, which is work that ActionCLIP's do not do; both start from the same pixels.
    """
    import torch
    from transformers import XCLIPConfig, XCLIPModel

    from core.action.actionclip import ActionClip
    from core.action.fusion import MeanPool
    from core.backbones.clip import ClipBackbone, Preprocess
    from core.backbones.clip_model import ClipSize, build
    from core.backbones.tokenizer import clip_tokenizer
    from core.checkpoints import Weights
    from core.device import choose

    torch.manual_seed(0)
    size = ClipSize(embed_dim=512, image_size=SIZE, vision_layers=12, vision_width=768, patch_size=32)
    backbone = ClipBackbone(build(size).eval(), clip_tokenizer(77), Preprocess(size=SIZE), choose("cpu"), 77)
    ours = ActionClip(backbone, {"meanP": MeanPool()}, Weights(name="random ViT-B/32", system="actionclip"))
    theirs = XCLIPModel(XCLIPConfig()).eval()  # transformers' default is X-CLIP's ViT-B/32 for 8 frames
    inputs = torch.randn(FRAMES, 3, SIZE, SIZE)

    def xclip() -> torch.Tensor:
        with torch.inference_mode():
            return theirs.visual_projection(theirs.vision_model(pixel_values=inputs).pooler_output)

    mine, alternative = paired(lambda: ours.encode_inputs(inputs), xclip, repeats=REPEATS)
    name = f"transformers XCLIPModel: vision_model and visual_projection of {FRAMES} frames, ViT-B/32"
    return report(mine, alternative, name) | {"frames": FRAMES}
