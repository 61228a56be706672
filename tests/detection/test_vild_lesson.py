"""ViLD's lesson: novel things carry no annotation, the step decides the batch, CLIP is asked once."""

import dataclasses

import numpy as np
import pytest
import torch

from core.detection.vild_model import from_tensors
from core.train import vild, vild_data
from core.train.run import Run
from core.train.vild import VildLesson, VildRecipe
from core.train.vild_data import annotated, toybox_scenes
from core.world.picture import picture
from core.world.scene import BASE, NOVEL

TINY = VildRecipe(pictures=8, picture=64, proposals=3, batch=2, regions=8, proposal_steps=1, steps=4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def lesson(cache, **changes) -> VildLesson:
    return VildLesson(dataclasses.replace(TINY, **changes), cache, None)


def test_a_novel_thing_has_neither_box_nor_word_nor_mask():
    seed = next(seed for seed in range(200) if picture(seed, 64, count=1, samples=1).boxes.labels[0] in NOVEL)
    boxes, words, things = annotated(picture(seed, 64, count=1, samples=1))
    assert (boxes == -1).all()
    assert (words == -1).all()
    assert (things == -1).all()


def test_a_base_thing_has_its_box_word_and_mask():
    view = picture(31_000_000, 64, count=1, pairs="base", samples=1)
    boxes, words, things = annotated(view)
    assert boxes[0] == pytest.approx(view.boxes.boxes_xyxy[0])
    assert BASE[words[0]] == view.boxes.labels[0]
    assert np.array_equal(things == 0, view.instances.mask(0))


def test_novel_things_stand_in_pictures_all_the_same(cache):
    scenes = toybox_scenes(0, 8, size=64, cache=cache)
    assert len(scenes) == 8
    first = picture(31_000_000 + 4, 64, count=1, pairs="seen", samples=2)  # the second four are of all things
    assert np.array_equal(scenes.pictures[4], first.rgb)


def test_what_was_computed_is_read_back(cache, monkeypatch):
    first = lesson(cache)
    monkeypatch.setattr(vild_data, "_draw", lambda *_: pytest.fail("drawn again"))
    monkeypatch.setattr(vild_data, "teach", lambda *_, **__: pytest.fail("CLIP was asked again"))
    monkeypatch.setattr(VildLesson, "_teach_proposals", lambda _: pytest.fail("taught again"))
    second = lesson(cache)
    assert np.array_equal(first.stored.embeddings, second.stored.embeddings)
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


def test_no_step_asks_clip_unless_the_recipe_says_so(cache, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(vild, "teach", lambda *a, **k: (asked.append(1), vild_data.teach(*a, **k))[1])
    stored = lesson(cache).loss(0)
    assert not asked
    in_the_loop = lesson(cache, stored=False).loss(0)
    assert len(asked) == TINY.batch
    assert float(stored.detach()) == pytest.approx(float(in_the_loop.detach()), rel=1e-2)


def test_a_step_depends_on_its_number_only(cache):
    one, other = lesson(cache), lesson(cache)
    one.model.eval(), other.model.eval()
    torch.manual_seed(1)
    first = float(one._batch(3, stream=3)[0].sum())
    torch.manual_seed(2)
    assert float(other._batch(3, stream=3)[0].sum()) == first
    assert float(other._batch(4, stream=3)[0].sum()) != first


def test_a_resumed_run_equals_an_uninterrupted_one(cache, tmp_path):
    through = Run(lesson(cache), tmp_path / "a", resume=False)
    whole = [through.advance(step / 4) for step in range(4)]
    first = Run(lesson(cache), tmp_path / "b", resume=False)
    halves = [first.advance(step / 4) for step in range(2)]
    first.save()
    second = Run(lesson(cache), tmp_path / "b", resume=True)
    halves += [second.advance(step / 4) for step in range(2, 4)]
    assert halves == pytest.approx(whole, rel=1e-4)


def test_everything_but_the_words_learns(cache):
    taught = lesson(cache)
    taught.model.train()
    losses = [taught.loss(step) for step in range(2)]
    sum(losses).backward()
    silent = [name for name, p in taught.model.named_parameters() if p.grad is None]
    assert silent == []
    assert not taught.words.requires_grad


def test_what_is_exported_opens(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(vild, "WATCHED", 1)
    run = Run(lesson(cache, steps=1), tmp_path, resume=False)
    run.train()
    from core.checkpoints import read_tensors

    network = from_tensors(read_tensors(tmp_path / "toybox-vild.safetensors"))
    assert not network.training
    figures = run.folder.lines()[-1]
    assert {f"ap50_{kind} ({head})" for kind in ("base", "novel") for head in ("ensemble", "text")} < set(figures)


def test_mirrored_boxes_stand_on_the_other_side():
    box = torch.tensor([[10.0, 5.0, 30.0, 50.0]])
    assert vild._mirrored(box, True, 64).tolist() == [[34, 5, 54, 50]]
    assert vild._mirrored(box, False, 64).tolist() == box.tolist()


def test_regions_are_a_quarter_things_at_most():
    torch.manual_seed(0)
    is_thing = torch.arange(40) < 20
    picks = vild._balanced(is_thing, 16, 0.25)
    assert int(is_thing[picks].sum()) == 4
    assert len(picks) == 16
    assert len(vild._balanced(is_thing[:22], 16, 0.25)) == 6


def test_data_are_refused(cache):
    with pytest.raises(ValueError, match="leave --data out"):
        VildLesson(TINY, cache, "photos")
