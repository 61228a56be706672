"""LSeg's lesson: novel things are never annotated, the step decides the batch, CLIP's ViT becomes LSeg's."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from core.backbones.clip_model import from_tensors as clip_from_tensors
from core.checkpoints import fetch, read_tensors, resolve
from core.segmentation.lseg_model import from_tensors
from core.train import lseg, lseg_regions
from core.train.augment import normalise
from core.train.lseg import LsegLesson, LsegRecipe
from core.train.lseg_data import NAMES, cut, cut_labels, pixel_names, random_crops, relight, toybox_scenes
from core.train.lseg_regions import NO_REGION
from core.train.regions import spoken_for
from core.train.run import Run
from core.world.picture import picture
from core.world.scene import BASE, NOVEL

TINY = LsegRecipe(
    annotated=6,
    plain=6,
    picture=64,
    crop=32,
    batch_annotated=3,
    batch_plain=2,
    channels=(4, 4, 4, 4),
    features=4,
    steps=4,
    least_region=2,
    autocast_dtype=None,
)
WHOLE = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(lseg, "WATCHED", 2)


def lesson(cache, **changes) -> LsegLesson:
    return LsegLesson(dataclasses.replace(TINY, **changes), cache, None)


def losses(run: Run, steps: int) -> list[float]:
    return [run.advance(run.step / run.recipe.steps) for _ in range(steps)]


def test_no_novel_word_is_ever_a_label():
    assert not set(NAMES) & set(NOVEL)
    assert set(BASE) == set(NAMES)
    assert lseg.OTHER not in NAMES


def test_annotated_pictures_show_base_things_and_name_every_pixel(cache):
    scenes = toybox_scenes(0, 6, 6, size=64, cache=cache)
    assert scenes.pictures.shape == (6, 64, 64, 3)
    assert scenes.labels.max() == len(NAMES)
    view = picture(21_000_000, 64, count=1, pairs="base", samples=2)
    assert np.array_equal(scenes.pictures[0], view.rgb)
    assert set(np.unique(pixel_names(view))) == {NAMES.index(view.scene.things[0].category), len(NAMES)}


def test_a_picture_with_a_novel_thing_has_no_name_for_it():
    seed = next(seed for seed in range(200) if picture(seed, 32, count=1, samples=1).boxes.labels[0] in NOVEL)
    view = picture(seed, 32, count=1, samples=1)
    assert (pixel_names(view)[view.categories.ids >= 0] == len(NAMES)).all()


def test_a_second_call_reads_the_pictures_back(cache, monkeypatch):
    first = toybox_scenes(0, 6, 6, size=64, cache=cache)
    monkeypatch.setattr("core.train.lseg_data._draw_chunk", lambda *_, **__: pytest.fail("drawn again"))
    assert np.array_equal(toybox_scenes(0, 6, 6, size=64, cache=cache).plain, first.plain)


def test_labels_are_cut_where_the_network_puts_its_places():
    labels = torch.arange(64, dtype=torch.uint8).reshape(1, 8, 8)
    found = cut_labels(labels, WHOLE, 8)
    assert found.shape == (1, 4, 4)
    assert found[0, [0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 7, 56, 63]  # corners on corners
    assert torch.equal(cut_labels(labels, WHOLE * torch.tensor([[-1.0], [1.0]]), 8), found.flip(-1))


def test_pictures_and_labels_are_cut_alike():
    pictures = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    pictures[:, 8:20, 4:28] = 255
    labels = (pictures[..., 0] > 0).to(torch.uint8)
    theta = random_crops(1, least_zoom=0.6, most_zoom=0.7, generator=torch.Generator().manual_seed(2))
    image = cut(pictures, theta, 16)[0, 0]
    places = cut_labels(labels, theta, 16)[0]
    pixels = torch.linspace(0, 15, 8).round().long()
    agree = (image[pixels][:, pixels] > 0.5).long() == places
    assert agree.float().mean() > 0.85


def test_light_changes_stay_within_what_a_picture_can_be():
    images = relight(torch.rand(4, 3, 8, 8), torch.Generator().manual_seed(0))
    assert 0 <= images.min() <= images.max() <= 1


def test_the_label_list_always_ends_with_other_and_every_pixel_is_on_it():
    truth = torch.arange(len(NAMES)).reshape(1, 3, -1)
    lengths = set()
    for step in range(20):
        chosen, target = lseg._label_list(truth, np.random.default_rng(step))
        assert chosen[-1] == len(NAMES)
        named = target != len(chosen) - 1
        assert torch.equal(chosen[target[named]], truth[named])
        assert set(truth[~named].tolist()).isdisjoint(chosen.tolist())
        lengths.add(len(chosen))
    assert len(lengths) > 3


def test_clip_s_vit_becomes_lseg_s(cache):
    """Only the deviation by which each token is divided differs, so that vectors point nearly the same way."""
    trained = lesson(cache)
    visual = clip_from_tensors(read_tensors(fetch(resolve("clip", TINY.vit)))).visual
    pictures = torch.from_numpy(trained.scenes.plain).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        tokens = visual._embeds(normalise(pictures))
        for block in visual.transformer.resblocks:
            tokens = block(tokens)
        found = trained.model.pretrained.model(2 * pictures - 1)[-1]
    assert cosine_similarity(found, tokens, dim=-1).mean() > 0.8


def test_words_are_frozen_and_everything_else_learns(cache):
    trained = lesson(cache, steps=8)
    before = {key: value.clone() for key, value in trained.model.state_dict().items()}
    run = Run(trained, cache / "run", resume=False)
    losses(run, 5)  # one for each kernel beside the network's own
    after = trained.model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items() if key.startswith("clip_pretrained"))
    for key in (
        "pretrained.model.blocks.0.mlp.fc1.weight",
        "scratch.head1.weight",
        "pretrained.act_postprocess1.3.bias",
    ):
        assert not torch.equal(after[key], before[key])
    kernels = [key for key in before if key.endswith("depthwise.depthwise.weight")]
    assert len(kernels) == 6
    assert not any(torch.equal(after[key], before[key]) for key in kernels)


def test_kernels_of_an_ablation_do_not_move_the_network(cache):
    trained = lesson(cache)
    features = trained.model.features(torch.randn(2, 3, 32, 32))
    target = torch.zeros(2, 16, 16, dtype=torch.long)
    trained._pixel_loss(features, trained.words[:4], target, 0).backward()
    first = trained.model.scratch.head1.weight.grad.clone()
    trained.model.zero_grad()
    features = trained.model.eval().features(torch.randn(2, 3, 32, 32))
    other = trained.model.regularise(lseg.products(features, trained.words[:4]).detach(), lseg.ABLATION[0])
    other.mean().backward()
    assert trained.model.scratch.head1.weight.grad is None
    assert first.abs().sum() > 0


def test_regions_are_drawn_to_what_clip_says_of_them(cache):
    trained = lesson(cache)
    features = torch.nn.functional.normalize(torch.randn(2, 128, 16, 16), dim=1).requires_grad_()
    places = torch.full((2, 16, 16), NO_REGION)
    places[0, 2:6, 2:6] = 0
    places[1, 0, 0] = 1  # smaller than a region may be
    for each in (0, 1):
        features.grad = None
        trained._region_losses(features, places, trained.words)[each].backward()
        assert torch.equal(features.grad.abs().sum(1) > 0, places == 0)
    assert trained._region_losses(features, torch.full_like(places, NO_REGION), trained.words) == (0, 0)


def test_a_region_that_says_what_clip_says_has_nothing_to_learn(cache):
    trained = lesson(cache)
    places = torch.full((2, 16, 16), NO_REGION)
    places[1, 2:6, 2:6] = 1
    features = trained.teacher.taught[1][None, :, None, None].expand(2, -1, 16, 16)
    losses = trained._region_losses(features, places, torch.cat([trained.words, trained.teacher.taught]))
    assert [float(loss) for loss in losses] == pytest.approx([0, 0], abs=1e-5)


def test_every_proposed_region_has_the_unit_vector_that_clip_gives_its_square(cache):
    trained = lesson(cache).teacher
    numbers = np.unique(trained.places[trained.places != NO_REGION])
    assert numbers.tolist() == list(range(len(trained.taught)))
    owner = int((trained.places == 0).any((1, 2)).argmax())
    plain = torch.from_numpy(trained.scenes.plain[[owner]])
    said = spoken_for(trained.clip, [(0, trained.places[owner] == 0)], plain)
    assert torch.allclose(trained._spoken(cache)[1][:1], said, atol=1e-5)
    assert torch.allclose(trained.taught.norm(dim=1), torch.ones(len(numbers)), atol=1e-5)


def test_regions_are_proposed_once(cache, monkeypatch):
    first = lesson(cache)
    monkeypatch.setattr(lseg_regions, "foreground", lambda _: pytest.fail("proposed again"))
    assert torch.equal(lesson(cache).teacher.taught, first.teacher.taught)


def test_a_region_is_taken_for_a_base_word_where_clip_is_as_sure_as_of_that_word_s_own_things(cache, monkeypatch):
    trained = lesson(cache).teacher
    monkeypatch.setattr(trained, "least_alike", torch.full((len(NAMES),), 0.9))
    monkeypatch.setattr(trained, "_moved", lambda spoken: spoken)
    between = torch.nn.functional.normalize(trained.words[2] + trained.words[3], dim=0)
    nearly = torch.nn.functional.normalize(trained.words[3] + 0.1 * trained.words[2], dim=0)
    taught, alike = trained._taught(torch.stack([between, nearly]))
    assert alike.tolist() == [len(trained.words), 3]
    assert torch.equal(taught[0], between)
    assert torch.equal(taught[1], trained.words[3])


def test_an_annotated_pixel_is_least_far_where_it_is_its_own_word(cache):
    trained = lesson(cache)
    truth = torch.tensor([[[2, len(NAMES)], [len(NAMES), 2]]])
    own = trained.words[truth].permute(0, 3, 1, 2)
    assert float(trained._word_distance(own, truth)) == pytest.approx(0, abs=1e-5)
    assert float(trained._word_distance(own.flip(3), truth)) > 0.1


def test_a_pixel_is_kept_from_regions_but_not_from_those_of_its_own_word(cache):
    trained = lesson(cache)
    trained.teacher.taught = trained.words[[3, 4]]
    trained.teacher.alike = torch.tensor([3, len(trained.words)])  # the other is like no word
    truth = torch.full((1, 4, 4), 3)

    def loss(word: int, others: list[int]) -> float:
        features = trained.words[word][None, :, None, None].expand(1, -1, 4, 4)
        return float(trained._apart_loss(features, truth, torch.tensor(others)))

    assert loss(3, [0]) < loss(3, [1])  # the first is not on the list
    assert loss(3, [1]) < loss(4, [1])
    truth = torch.full((1, 4, 4), len(NAMES))
    assert loss(-1, [0]) < loss(-1, [0, 0])  # to what is no thing every region is something else


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(cache, tmp_path, few):
    whole = losses(Run(lesson(cache), tmp_path / "whole", resume=False), 4)
    first = Run(lesson(cache), tmp_path / "halves", resume=False)
    halves = losses(first, 2)
    first.save()
    second = Run(lesson(cache), tmp_path / "halves", resume=True)
    assert halves + losses(second, 2) == pytest.approx(whole, rel=1e-4)


def test_a_finished_run_leaves_a_file_that_stands_alone(cache, tmp_path, few):
    path = tmp_path / "toybox-lseg.safetensors"
    trained = lesson(cache)
    Run(trained, tmp_path, resume=False, command="python -m core.train lseg").train()
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["never_annotated"] == list(NOVEL)
    assert set(card["sha256"]) == {"toybox-resnet", "toybox-vit"}
    network = from_tensors(read_tensors(path))
    assert [each.name for each in network.regularisers][:2] == ["bottleneck 2", "none"]
    assert len(network.regularisers) == 7


def test_what_is_exported_calls_fewer_pixels_a_thing_where_outlines_are_too_wide(cache, monkeypatch):
    trained = lesson(cache)
    labels = np.full_like(trained.scenes.labels, len(NAMES))
    labels[:, 20:44, 20:44] = 3
    monkeypatch.setattr(trained, "scenes", dataclasses.replace(trained.scenes, labels=labels))
    wide = torch.full((1, 1, 32, 32), 0.1)
    wide[..., 4:-4, 4:-4], wide[..., 10:-10, 10:-10] = 0.53, 0.9  # of NAMES[3], the rest of 'other'
    vectors = wide * trained.words[3][:, None, None] + (1 - wide) * trained.words[-1][:, None, None]
    head = trained.model.scratch.head1
    monkeypatch.setattr(head, "forward", lambda maps: vectors.expand(len(maps), -1, -1, -1))
    before = head.bias.clone()
    moved = trained.exported().scratch.head1.bias - before
    assert trained.shift > 0
    assert torch.allclose(moved, trained.shift * vectors.norm(dim=1).mean() * trained.words[-1], atol=1e-5)
    assert torch.equal(head.bias, before)  # a run may go on
    assert trained.facts()["shift"] == trained.shift


def test_data_are_refused(tmp_path):
    with pytest.raises(ValueError, match="leave --data out"):
        LsegLesson(TINY, tmp_path, "cifar10")
