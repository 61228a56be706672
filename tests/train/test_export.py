"""What a run leaves can be opened by open_clip, and says what was measured."""

import json

import numpy as np
import open_clip
import pytest
import torch

from core.backbones.clip_model import encode_text
from core.train import export
from core.train.data import tokenise
from core.train.export import model_card, open_clip_folder
from tests.tiny import RESNET, VIT, tiny_backbone


@pytest.mark.parametrize("size", [RESNET, VIT], ids=["resnet", "vit"])
def test_open_clip_gives_the_same_features(tmp_path, size):
    known = np.unique(tokenise(["a photo of a red ball"], 24))
    model = tiny_backbone(size, known[known > 0].tolist()).model
    open_clip_folder(model, tmp_path / "open_clip")
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'open_clip'}")
    theirs.eval()
    images = torch.randn(2, 3, size.image_size, size.image_size)
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'open_clip'}")(["a red ball", "a zebra"])
    with torch.no_grad():
        ours = torch.nn.functional.normalize(model.encode_image(images), dim=-1)
        torch.testing.assert_close(theirs.encode_image(images, normalize=True), ours, rtol=1e-2, atol=1e-2)
        words = torch.nn.functional.normalize(encode_text(model, tokens), dim=-1)
        torch.testing.assert_close(theirs.encode_text(tokens, normalize=True), words, rtol=1e-2, atol=1e-2)
    assert preprocess.transforms[0].size == size.image_size


def test_the_page_tells_figures_data_and_command(tmp_path):
    card = {
        "name": "mine",
        "licence": "Apache-2.0",
        "command": "python -m core.train clip-finetune",
        "recipe": {"steps": 3},
        "samples": 9,
        "minutes": 0.1,
        "threads": 1,
        "date": "2026-01-01",
        "parameters": 12345,
        "curve": [{"step": s, "samples": 3 * s, "seconds": 1.0, "photo_top1": s / 100} for s in range(40)]
        + [{"step": 3, "samples": 9, "note": "words"}],
        "data": {"source": "pets", "read": 8, "skipped": 1, "reasons": ["a.png: not a picture, or damaged"]},
    }
    (tmp_path / "mine.json").write_text(json.dumps(card))
    page = model_card(tmp_path / "mine.safetensors").read_text()
    assert "12,345 parameters" in page
    assert "| 39 | 117 | photo_top1 0.390 |" in page
    assert page.count("photo_top1") <= 14
    assert "a.png: not a picture, or damaged" in page
    assert "python -m core.train clip-finetune" in page
    assert "open_clip" not in page


def test_a_licence_that_the_hub_does_not_know_is_spelled_out():
    assert export._licence("Apache-2.0") == ["license: apache-2.0"]
    assert export._licence("Some terms: research only") == [
        "license: other",
        'license_name: "Some terms: research only"',
    ]
