"""ViLD's heads, scores and losses, with numbers that are known by hand."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from core.detection.vild_head import HeadSize, VildHead, word_logits
from core.detection.vild_losses import class_loss, distillation_loss, valid_regions
from core.detection.vild_prompts import ONE, PAPER, TEMPLATES, article, plain, sentences
from core.detection.vild_scores import crop_scores, ensemble, image_probabilities, text_probabilities

SIZE = HeadSize(channels=4, grid=3, convs=1, filters=4, fcs=1, fc_width=8, embed_dim=6)
TWO, FIVE = torch.randn(2, 4, 3, 3), torch.randn(5, 4, 3, 3)


def test_logits_are_a_hundred_cosines_with_the_background_first():
    east, north = torch.tensor([[3.0, 0.0]]), torch.tensor([0.0, 7.0])
    found = word_logits(east, torch.tensor([[0.5, 0.0], [-1.0, 0.0]]), north)
    assert found.tolist() == [[0, pytest.approx(100), pytest.approx(-100)]]


def test_a_region_of_zeros_has_logits_of_zero():
    assert word_logits(torch.zeros(1, 3), torch.eye(3), torch.ones(3)).tolist() == [[0, 0, 0, 0]]


def test_the_background_takes_its_share_before_its_column_is_dropped():
    logits = torch.tensor([[1.0, 1.0, 1.0]])
    assert text_probabilities(logits).tolist() == [[pytest.approx(1 / 3)] * 2]
    assert text_probabilities(logits, discard_background=True).tolist() == [[0.5, 0.5]]
    assert image_probabilities(logits[:, 1:]).tolist() == [[0.5, 0.5]]


def test_the_text_head_has_two_thirds_for_base_words_and_one_for_novel_ones():
    text, image, base = torch.full((1, 2), 0.001), torch.ones(1, 2), torch.tensor([True, False])
    assert ensemble(text, image, base)[0].tolist() == pytest.approx([0.01, 0.1])


@pytest.mark.parametrize(("weight", "want"), [(0.0, [0.9, 0.2]), (1.0, [0.2, 0.9]), (0.5, [0.18**0.5, 0.18**0.5])])
def test_the_weight_goes_from_one_head_to_the_other(weight, want):
    text, image, base = torch.full((1, 2), 0.2), torch.full((1, 2), 0.9), torch.tensor([True, False])
    assert ensemble(text, image, base, weight)[0].tolist() == pytest.approx(want)


def test_a_weight_beyond_one_is_refused():
    with pytest.raises(ValueError, match="weight from 0 to 1"):
        ensemble(torch.ones(1, 1), torch.ones(1, 1), torch.tensor([True]), 1.1)


def test_a_crop_s_score_is_the_geometric_mean_with_the_objectness():
    probabilities = torch.tensor([[0.9, 0.1]])
    assert crop_scores(probabilities, torch.tensor([0.4]))[0].tolist() == pytest.approx([0.6, 0.2])
    assert crop_scores(probabilities, None) is probabilities


def test_separate_branches_share_nothing_and_a_single_one_shares_everything():
    for separate in (True, False):
        torch.manual_seed(0)
        head = VildHead(SIZE, separate=separate).train()
        loss = F.normalize(head(TWO, FIVE).image, dim=-1).sum()
        loss.backward()
        touched = [p.grad is not None and bool(p.grad.any()) for p in head.text.parameters()]
        assert any(touched) is not separate


def test_a_single_branch_normalises_regions_and_stored_ones_together():
    torch.manual_seed(0)
    single, separate = VildHead(SIZE, separate=False).train(), VildHead(SIZE, separate=True).train()
    assert not torch.allclose(single(TWO, FIVE).text, single(TWO, FIVE + 3).text)
    assert torch.allclose(separate(TWO, FIVE).text, separate(TWO, FIVE + 3).text)


def test_stored_regions_get_no_box():
    head = VildHead(SIZE, separate=False).train()
    found = head(TWO, FIVE)
    assert found.text.shape == (2, 6)
    assert found.image.shape == (5, 6)
    assert found.codes.shape == (2, 4)
    assert VildHead(SIZE, separate=True, boxes=False).eval()(TWO).codes is None


def test_the_released_head_has_four_convolutions_and_two_hidden_layers():
    size = HeadSize()
    assert dataclasses.astuple(size) == (256, 7, 4, 256, 2, 1024, 512)


def test_novel_logits_of_nought_still_take_their_share():
    logits, novel = torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([1.0, 1.0, 0.0])
    assert float(class_loss(logits, torch.tensor([1]), novel)) == pytest.approx(float(torch.tensor(3.0).log()))
    assert float(class_loss(logits, torch.tensor([1]))) > 9


def test_the_distance_is_over_valid_regions_and_all_numbers():
    predicted, stored = torch.tensor([[1.0, 0.0], [9.0, 9.0]]), torch.tensor([[0.0, 5.0], [1.0, 0.0]])
    valid = valid_regions(torch.tensor([[0.0, 0.0, 3.0, 3.0], [-1.0, -1.0, -1.0, -1.0]]))
    assert valid.tolist() == [True, False]
    assert float(distillation_loss(predicted, stored, valid)) == 2
    assert float(distillation_loss(predicted, stored, valid, normalise_stored=False)) == 6
    assert float(distillation_loss(predicted, stored, ~valid & valid)) == 0


def test_the_paper_has_sixty_three_templates_and_says_this_is_before_a_and_the():
    assert len(PAPER) == len(set(PAPER)) == 63
    assert sentences("owl", ("a photo of {article} {}.", "itap of {article} {}.")) == (
        "This is a photo of an owl.",
        "itap of an owl.",
    )
    assert plain(ONE[0], "hot_dog/sausage.") == "a photo of a hot dog or sausage."
    assert article("Apple") == "a"
    assert all(template.count("{}") == 1 for templates in TEMPLATES.values() for template in templates)
