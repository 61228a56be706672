"""What share of one step of CLIPasso drawing takes, at the paper's setting with an RN101 of random weights."""

from dataclasses import replace
from typing import Any

from core.bench.measure import paired, report

STROKES, SIDE = 16, 224
RN101_LAYERS, RN101_WIDTH, RN101_EMBEDDING = (3, 4, 23, 3), 64, 512  # openai/CLIP, RN101
ALTERNATIVE = "the whole step: drawing, its views, the RN101 forward and backward, Adam"


def drawing_share() -> dict[str, Any]:
    """Draw one sketch and go back, against one whole optimisation step of it; the ratio is drawing over the step."""
    import numpy as np
    import torch

    from core.backbones.clip import ClipBackbone, Preprocess
    from core.backbones.clip_model import ClipSize, build
    from core.backbones.tokenizer import clip_tokenizer
    from core.checkpoints import Weights
    from core.device import choose
    from core.sketch.clipasso import Clipasso, SketchDrawing
    from core.sketch.rasterizer import draw_ink

    torch.manual_seed(0)
    size = ClipSize(
        embed_dim=RN101_EMBEDDING,
        image_size=SIDE,
        vision_layers=RN101_LAYERS,
        vision_width=RN101_WIDTH,
        patch_size=None,
    )
    backbone = ClipBackbone(build(size).eval(), clip_tokenizer(77), Preprocess(size=SIDE), choose("cpu"), 77)
    model = Clipasso(backbone, Weights(name="random RN101", system="clip"))
    settings = replace(model.presets["paper"], strokes=STROKES, seeds=1, start="random")
    picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
    picture[60:160, 80:150] = (200, 40, 40)
    drawing = SketchDrawing(backbone, [model.prepare(picture, settings)], settings)
    widths = torch.full((1, STROKES), settings.width)

    def draw() -> None:
        points = drawing.points.detach().clone().requires_grad_()
        torch.autograd.grad(draw_ink(points, widths, (SIDE, SIDE)).sum(), points)

    times = paired(draw, lambda: drawing.learn(0), repeats=3)
    return report(*times, ALTERNATIVE, inverse=True) | {"strokes": STROKES, "side": SIDE}
