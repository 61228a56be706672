"""GroupViT learns from sentences and the nouns in them, starts where a CLIP ended, and sees no mask."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.segmentation.groupvit_weights import from_tensors
from core.train import groupvit, groupvit_data
from core.train.data import Pairs, tokenise
from core.train.groupvit import GroupVitLesson, GroupVitRecipe, multi_label_loss
from core.train.groupvit_data import NOUNS, Collages, assembled, captioned, nouns_in, photos_only, sentence
from core.train.groupvit_places import agreement_loss, group_opinions, region_scores
from core.train.run import Run
from core.world.captions import shown
from core.world.picture import picture
from core.world.shapes import CATEGORIES
from core.zero_shot.clip import ZeroShotClip
from tests.tiny import VIT as TWO_BLOCKS
from tests.tiny import tiny_clip

VIT = dataclasses.replace(TWO_BLOCKS, vision_layers=3)

TINY = GroupVitRecipe(
    depths=(1, 1, 1),
    group_tokens=(6, 3, 0),
    projector_width=24,
    toybox_pictures=12,
    scenes=6,
    batch=6,
    batch_large=6,
    collage_share=0.5,
    steps=4,
    small_steps=2,
    large_side=32,
    autocast_dtype=None,
)
SENTENCES = ("a red chair", "two balls on grass", "a blue dog under a cloudy sky")


def words_of(row: np.ndarray) -> set[str]:
    return {noun for noun, is_in in zip(NOUNS, row, strict=True) if is_in}


def some_pairs(size: int = 32) -> Pairs:
    rng = np.random.default_rng(0)
    return Pairs(
        pictures=rng.integers(0, 256, (12, size, size, 3), dtype=np.uint8),
        tokens=tokenise([SENTENCES[i % 3] for i in range(12)], VIT.context_length)[:, None],
        classes=np.arange(12) % 3 - 1,
        names=CATEGORIES,
        same_sentences=False,
    )


def known_clip() -> ZeroShotClip:
    prompts = [groupvit_data.noun_prompt("a photo of {}.", noun) for noun in NOUNS]
    return tiny_clip(VIT, known=np.unique(tokenise([*prompts, *SENTENCES], VIT.context_length)).tolist())


@pytest.fixture(autouse=True)
def small(monkeypatch):
    drawn = groupvit_data._draw_chunk((0, 0, 6), size=64, context_length=VIT.context_length)
    scenes = captioned(drawn["pictures"], drawn["tokens"])
    monkeypatch.setattr(groupvit.registry, "load", lambda *_: known_clip())
    monkeypatch.setattr(groupvit, "toybox_pairs", lambda *_, **__: some_pairs())
    monkeypatch.setattr(groupvit, "draw_scenes", lambda *_, **__: scenes)
    monkeypatch.setattr(groupvit, "WATCHED", 2)


def lesson(tmp_path) -> GroupVitLesson:
    return GroupVitLesson(TINY, tmp_path, None)


def losses(run: Run, steps: int) -> list[float]:
    return [run.advance(run.step / run.recipe.steps) for _ in range(steps)]


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = losses(Run(lesson(tmp_path), tmp_path / "whole", resume=False), 4)
    first = Run(lesson(tmp_path), tmp_path / "halves", resume=False)
    halves = losses(first, 2)
    first.save()
    second = Run(lesson(tmp_path), tmp_path / "halves", resume=True)
    assert halves + losses(second, 2) == pytest.approx(whole, rel=1e-4)


def test_a_finished_run_leaves_weights_that_open_and_a_card_that_says_that_no_mask_was_seen(tmp_path):
    Run(lesson(tmp_path), tmp_path, resume=False, command="python -m core.train groupvit").train()
    card = json.loads((tmp_path / "toybox-groupvit.json").read_text())
    assert card["masks"] == 0
    assert card["scenes"] == 6
    assert {"oracle_miou", "miou_at_0.2"} <= set(card["curve"][-1])
    opened = from_tensors(load_file(tmp_path / "toybox-groupvit.safetensors"), heads=1)
    assert opened.size.group_tokens == (6, 3, 0)


def test_the_text_tower_stays_the_clips(tmp_path):
    run = Run(lesson(tmp_path), tmp_path, resume=False)
    losses(run, 2)
    wanted, found = known_clip().backbone.model, run.lesson.model.text_encoder
    assert found.ln_final.weight.equal(wanted.ln_final.weight)
    assert found.transformer.resblocks[0].mlp.c_fc.weight.equal(wanted.transformer.resblocks[0].mlp.c_fc.weight)


def test_everything_else_learns(tmp_path):
    run = Run(lesson(tmp_path), tmp_path, resume=False)
    before = {name: value.clone() for name, value in run.lesson.model.named_parameters()}
    losses(run, 3)
    still = [name for name, value in run.lesson.model.named_parameters() if value.equal(before[name])]
    assert all(name.startswith("text_encoder.") for name in still)


def test_photographs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="leave --data out"):
        GroupVitLesson(TINY, tmp_path, "cifar10")


def test_the_image_tower_starts_with_the_clips_blocks(tmp_path):
    visual = known_clip().backbone.model.visual
    tower = lesson(tmp_path).model.img_encoder
    x = torch.randn(2, 5, VIT.vision_width)
    old = visual.transformer.resblocks[1]
    attended = x + old.attention(old.ln_1(x))
    block = tower.layers[1].blocks[0]
    assert (x + block.attn(block.norm1(x))).allclose(attended, atol=1e-5)


def test_patches_start_as_the_clips_whatever_the_colours_are_normalised_by(tmp_path):
    pictures = torch.rand(2, 3, 32, 32)
    visual = known_clip().backbone.model.visual
    mean, std = (torch.tensor(x)[:, None, None] for x in (groupvit.CLIP_MEAN, groupvit.CLIP_STD))
    wanted = visual.conv1((pictures - mean) / std)
    inputs = groupvit._as_imagenet((pictures - mean) / std)
    assert lesson(tmp_path).model.img_encoder.patch_embed.proj(inputs).allclose(wanted, atol=1e-4)


def test_a_noun_that_two_pictures_share_belongs_to_both():
    belongs = torch.tensor([[True, False], [True, True]])
    logits = torch.eye(2)
    rows = [[1.0, 0.0], [0.5, 0.5]]
    columns = [[0.5, 0.5], [0.0, 1.0]]
    log = logits.log_softmax(1)
    wanted = -sum((torch.tensor(target) * log).sum() / 2 for target in (rows, columns)) / 2
    assert float(multi_label_loss(logits, torch.tensor(1.0), belongs)) == pytest.approx(float(wanted))


def test_a_sure_and_right_answer_costs_what_sharing_must():
    belongs = torch.tensor([[True, True, False, False], [False, False, True, True]])
    cosines = torch.eye(2).repeat_interleave(2, 1)
    loss = multi_label_loss(cosines, torch.tensor(100.0), belongs)
    assert float(loss) == pytest.approx(math.log(2) / 2, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "nouns"),
    [
        ("a photo of a red chair and two balls.", {"chair", "ball"}),
        ("three people on a wooden floor under a blue sky", {"person", "a wooden floor", "a blue sky"}),
        ("a blue dog", {"dog"}),
        ("a green snowman", {"snowman"}),
        ("a toy world with a striped house on snow", {"house", "snow"}),
    ],
)
def test_nouns_are_found_in_sentences(text, nouns):
    assert words_of(nouns_in(tokenise([text], 32)[None])[0]) == nouns


def test_the_nouns_of_a_picture_are_those_of_all_its_sentences():
    tokens = tokenise(["a chair", "a ball"], 16)[None]
    assert words_of(nouns_in(tokens)[0]) == {"chair", "ball"}


def test_other_looks_and_painted_words_are_left_out():
    pairs = some_pairs()
    pairs.pictures[3] = pairs.pictures[3, ..., :1]
    pairs.tokens[5] = tokenise(["a ball with the word dog on it"], VIT.context_length)
    assert len(photos_only(pairs)) == 10


def test_a_collage_is_four_pictures_and_its_sentence_names_one_thing_of_each():
    pairs = some_pairs()
    source = captioned(pairs.pictures, pairs.tokens)
    tiles, tokens, nouns = Collages(source=source).batch(np.random.default_rng(0), 3)
    assert tiles.shape == (3, 4, 32, 32, 3)
    for tile, own in zip(tiles.flatten(0, 1), nouns.flatten(0, 1), strict=True):
        assert own.equal(source.nouns[[picture.equal(tile) for picture in source.pictures].index(True)])
    named = torch.from_numpy(nouns_in(tokens.numpy()[:, None]))
    assert (named <= nouns.any(1)).all()
    assert (named.sum(1) >= 1).all()


def test_quarters_lie_row_by_row():
    tiles = torch.arange(4.0)[None, :, None, None, None].expand(1, 4, 3, 2, 2)
    assert assembled(tiles)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_the_best_patches_of_a_region_speak_for_it():
    opinions = torch.zeros(1, 16, 1)  # a grid of 4 x 4
    opinions[0, [2, 7], 0] = torch.tensor([1.0, 0.5])  # both in the upper right quarter
    assert region_scores(opinions, 2)[:, 0].tolist() == [0.0, 0.75, 0.0, 0.0]
    assert region_scores(opinions, 1)[:, 0].tolist() == [0.75]


def test_groups_say_of_a_patch_what_its_groups_say():
    first = torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]])
    second, cosines = torch.eye(2)[None], torch.tensor([[[0.8], [0.2]]])
    assert group_opinions(first, second, cosines)[0, :, 0].tolist() == pytest.approx([0.8, 0.2, 0.5])


def test_agreement_costs_nothing_where_groups_say_the_same_and_patches_do_not_learn():
    patches = torch.randn(1, 5, 3, requires_grad=True)
    groups = torch.randn(1, 5, 3, requires_grad=True)
    assert agreement_loss(patches, patches, 4.0, sharper=1.0).item() == pytest.approx(0, abs=1e-5)
    agreement_loss(groups, patches, 4.0).backward()
    assert patches.grad is None
    assert groups.grad.abs().sum() > 0


def test_a_sentence_names_everything_that_shows():
    for seed in range(6):
        view = picture(seed, 64, count=3, samples=1)
        text = sentence(view, np.random.default_rng(seed))
        assert all(view.scene.things[i].category in text for i in shown(view))


def test_scenes_are_drawn_once(tmp_path, monkeypatch):
    arguments = {"size": 32, "context_length": 32, "cache": tmp_path}
    monkeypatch.setattr(groupvit_data.multiprocessing, "get_context", lambda _: _Here)
    first = groupvit_data.draw_scenes(3, 4, **arguments)
    monkeypatch.setattr(groupvit_data, "_draw_chunk", None)
    second = groupvit_data.draw_scenes(3, 4, **arguments)
    assert first.pictures.equal(second.pictures)
    assert second.nouns.any(1).all()


class _Here:
    """A pool that works where it stands."""

    Pool = staticmethod(lambda: _Here())

    def __enter__(self) -> "_Here":
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, function, chunks, chunksize):
        return [function(chunk) for chunk in chunks]


def test_the_recipe_fits_what_it_starts_from():
    assert sum(GroupVitRecipe().depths) <= 5  # blocks of toybox-vit
    assert dataclasses.replace(GroupVitRecipe(), seed=1).checkpoint == "toybox-groupvit"
