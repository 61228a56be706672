"""The heads learn a few films, go on after an interruption, and open beside the CLIP that they were taught on."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.action.actionclip import open_actionclip
from core.action.fusion import HEADS
from core.backbones.clip_model import CompactEmbedding
from core.checkpoints import WEIGHTS_FILE, Weights
from core.device import choose
from core.train import action_films, actionclip
from core.train.actionclip import ActionLesson, ActionRecipe, widened
from core.train.recipes import RECIPES
from core.train.run import Run
from core.world.motion import clip
from tests.tiny import RESNET, tiny_backbone

TINY = dataclasses.replace(
    ActionRecipe(),
    films=9,
    frames=4,
    batch_films=2,
    steps=4,
    turn_first=0.25,
    spinning_until=0.5,
    cls_layers=1,
    autocast_dtype=None,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(actionclip, "WATCHED", 1)


def lesson(cache, **changes) -> ActionLesson:
    return ActionLesson(dataclasses.replace(TINY, **changes), cache, None)


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(cache, tmp_path):
    whole_run = Run(lesson(cache), tmp_path / "whole", resume=False)
    whole = [whole_run.advance(0.5) for _ in range(4)]
    first = Run(lesson(cache), tmp_path / "halves", resume=False)
    halves = [first.advance(0.5)]
    first.save()
    second = Run(lesson(cache), tmp_path / "halves", resume=True)
    assert halves + [second.advance(0.5) for _ in range(3)] == pytest.approx(whole, rel=1e-4)


def test_the_turn_comes_first_then_spinning_alone_then_every_motion(cache, monkeypatch):
    taught = lesson(cache)
    shown, asked = [], []
    monkeypatch.setattr(taught.model, "frames", lambda maps, real=taught.model.frames: shown.append(maps) or real(maps))
    monkeypatch.setattr(taught.model, "clips", lambda x, real=taught.model.clips: asked.append(x) or real(x))
    spins = taught.films.maps[taught.spinning]
    for step, heads in enumerate((0, 1, 2, 3)):
        taught.loss(step)
        assert len(asked) == heads
    alone = [all(any(np.array_equal(film, spin) for spin in spins) for film in maps.numpy()) for maps in shown]
    assert alone[:2] == [True, True]
    assert len(taught.spinning) == 4


def test_sentences_part_first_and_then_stay_where_they_are(cache):
    taught = lesson(cache)
    text = taught.model.clip.token_embedding.weight
    taught.loss(0).backward()
    assert text.grad.abs().max() > 0
    text.grad = None
    taught.loss(3).backward()
    assert text.grad is None
    assert taught.model.heads["Transf"].frame_position_embeddings.weight.grad.abs().max() > 0


def test_turns_are_told_by_the_first_entries_of_a_feature(cache):
    taught = lesson(cache)
    turns = torch.tensor([[0.0, torch.pi / 2, torch.nan]])
    frames = torch.zeros(1, 3, 128)
    told = torch.tensor([[1.0, 0, 1, 0], [0, 1, -1, 0]])  # cosine and sine of the angle and of twice the angle
    frames[0, :2, :4] = taught.recipe.turn_length * told
    assert taught._turn_loss(frames, turns).item() == pytest.approx(0, abs=1e-6)
    assert taught._turn_loss(frames * 0, turns).item() == pytest.approx(0.5)
    assert taught._turn_loss(frames, turns * torch.nan).item() == 0


def test_heads_alone_learn_beside_towers_that_stay(cache, tmp_path):
    taught = ActionLesson(
        dataclasses.replace(RECIPES["actionclip-heads"], films=9, batch_films=2, steps=3), cache, None
    )
    picks = np.array([3, 0])
    seen = taught.model.frames(torch.from_numpy(taught.films.maps[picks]).float())
    torch.testing.assert_close(taught._frames(picks), seen, atol=2e-2, rtol=2e-2)  # half precision in other groups
    before = {key: value.clone() for key, value in taught.model.state_dict().items()}
    Run(taught, tmp_path, resume=False).train()
    moved = {key for key, value in taught.model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved
    assert not any(key.startswith("clip.") for key in moved)
    path = tmp_path / "actionclip-heads.safetensors"
    model = open_actionclip(Weights(name="new", system="actionclip", path=path), choose("cpu"), {WEIGHTS_FILE: path})
    assert model.heads == HEADS


def test_heads_of_another_backbone_are_refused(cache):
    with pytest.raises(ValueError, match="was trained here on toybox-resnet"):
        lesson(cache, start="toybox-actionclip", tuned=("layer3", "layer4"))


def test_a_finished_run_opens_as_what_was_taught(cache, tmp_path):
    taught = lesson(cache)
    Run(taught, tmp_path, resume=False, command="python -m core.train actionclip").train()
    path = tmp_path / "toybox-actionclip.safetensors"
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["image_tower"] == {"weights": "toybox-resnet", "sha256": taught.sha256}
    assert {"top1_Transf", "top1_meanP", "spinning_Transf"} <= set(card["curve"][-1])
    assert not any(key.startswith("clip.visual.layer3") for key in load_file(path))  # it is the embedded CLIP's
    model = open_actionclip(Weights(name="new", system="actionclip", path=path), choose("cpu"), {WEIGHTS_FILE: path})
    assert (model.heads, model.frames) == (HEADS, 4)
    film = clip(3, "rising", frames=4, size=64).film.frames
    kept = torch.from_numpy(model.clip_features(film).frames[None])
    maps = action_films.FrozenPart(model.backbone.model.visual, "layer4", "", tmp_path, frames=4, size=64)._look(
        film[None]
    )
    taught.model.eval()
    with torch.inference_mode():
        frames = taught.model.frames(torch.from_numpy(maps).float())
        clips = taught.model.clips(kept)
    assert kept.numpy() == pytest.approx(frames.numpy(), abs=0.05)  # weights and maps are kept in half precision
    for name in HEADS:
        assert model.video_features(kept, name).numpy() == pytest.approx(clips[name].numpy(), abs=0.05)


def test_films_are_drawn_once(cache, monkeypatch):
    first = lesson(cache)
    monkeypatch.setattr(action_films.FrozenPart, "_draw", lambda *_: pytest.fail("drew again"))
    assert np.array_equal(lesson(cache).films.maps, first.films.maps)


def test_another_image_tower_has_films_of_its_own(cache):
    visual = tiny_backbone(RESNET).model.visual
    keys = {
        action_films.FrozenPart(visual, "layer4", sha256, cache, frames=4, size=64).key for sha256 in ("one", "another")
    }
    assert len(keys) == 2


def test_features_start_with_the_recipes_length_and_places_in_time_with_their_share_of_it(cache):
    model = lesson(cache, position_share=0.5).model
    frames = model.eval().frames(torch.from_numpy(lesson(cache).films.maps).float())
    assert float(frames.detach().norm(dim=-1).mean()) == pytest.approx(10, rel=0.02)
    places = model.heads["Transf"].frame_position_embeddings.weight.detach()
    assert float(places.norm(dim=1).mean()) == pytest.approx(5, rel=0.2)


def test_a_film_in_fewer_frames_repeats_the_middle_of_each_part(cache):
    taught = lesson(cache, fewer_frames=1.0)
    seen = {tuple(taught._places(np.random.default_rng(seed)).tolist()) for seed in range(20)}
    assert seen == {(1, 1, 3, 3), (0, 1, 2, 3)}
    assert lesson(cache, fewer_frames=0.0)._places(np.random.default_rng(0)).tolist() == [0, 1, 2, 3]


def test_a_spinning_thing_turns_by_even_steps_and_a_round_one_has_no_turn():
    turns = action_films.turns_of(clip(1, "spinning counterclockwise", frames=4, size=16))
    assert np.diff(turns) == pytest.approx(np.radians([90, 90, 90]), abs=1e-5)
    ball = next(
        found
        for seed in range(200)
        if (found := clip(seed, "rising", frames=2, size=16)).views[0].scene.things[0].category == "ball"
    )
    assert np.isnan(action_films.turns_of(ball)).all()


def test_a_widened_token_table_keeps_its_rows():
    table = CompactEmbedding(torch.tensor([5, 9]), 4)
    wide = widened(table, torch.tensor([7, 9]))
    assert wide.token_ids.tolist() == [5, 9, 7]
    tokens = torch.tensor([[5, 9, 100]])
    assert torch.equal(wide(tokens), table(tokens))
    assert not torch.equal(wide(torch.tensor([[7]])), wide(torch.tensor([[100]])))


def test_what_the_recipe_cannot_use_is_refused(cache):
    with pytest.raises(ValueError, match="leave --data out"):
        ActionLesson(TINY, cache, "cifar10")
    with pytest.raises(ValueError, match="wanted a CLIP with a ResNet"):
        lesson(cache, backbone="toybox-vit")
