"""Anchors, the code of boxes, who answers for a true box, and the released rules of suppression."""

import math

import pytest
import torch

from core.detection.glip_anchors import atss, cell_anchor, centerness_targets, decode, level_anchors
from core.detection.glip_postprocess import (
    Found,
    PostSettings,
    clipped,
    joined,
    label_columns,
    level_candidates,
    overlaps_of,
    phrase_probabilities,
    suppressed,
)


def test_the_first_anchor_of_the_finest_level_is_the_released_one():
    assert cell_anchor(8).tolist() == [[-28.0, -28.0, 35.0, 35.0]]


def test_anchors_go_along_rows():
    anchors = level_anchors((2, 3), 8, scale=1)
    assert anchors[:4, :2].tolist() == [[0, 0], [8, 0], [16, 0], [0, 8]]
    assert (anchors[:, 2:] - anchors[:, :2] + 1 == 8).all()


def test_a_code_of_zeros_is_the_anchor_and_growth_has_a_limit():
    anchors = level_anchors((1, 2), 8)
    assert torch.allclose(decode(torch.zeros(2, 4), anchors), anchors)
    grown = decode(torch.tensor([[0.0, 0.0, 5 * math.log(2), 1e6]]), anchors[:1])[0]
    assert grown[2] - grown[0] + 1 == pytest.approx(128, rel=1e-5)
    assert grown[3] - grown[1] + 1 == pytest.approx(64 * 1000 / 16, rel=1e-5)
    moved = decode(torch.tensor([[10.0, 0.0, 0.0, 0.0]]), anchors[:1])[0]
    assert moved[0] - anchors[0, 0] == pytest.approx(64)  # ten tenths of a side


def test_places_near_a_boxs_middle_answer_for_it():
    anchors = [level_anchors((8, 8), 8, 3.0), level_anchors((4, 4), 16, 3.0)]
    owners = atss(anchors, torch.tensor([[12.0, 12.0, 36.0, 36.0], [40.0, 40.0, 60.0, 60.0]]))
    assert owners.shape == (80,)
    fine = owners[:64].view(8, 8)
    assert fine[2, 2] == fine[3, 3] == 0
    assert fine[6, 6] == 1
    assert fine[0, 0] == fine[0, 7] == -1


def test_the_better_overlap_wins_an_anchor_that_two_boxes_claim():
    anchors = [torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 9.0]])]
    assert atss(anchors, torch.tensor([[0.0, 0.0, 9.0, 5.0], [0.0, 0.0, 9.0, 9.0]])).tolist() == [1, 1]


def test_without_true_boxes_nobody_answers():
    assert atss([level_anchors((2, 2), 8)], torch.zeros(0, 4)).tolist() == [-1] * 4


def test_centerness_is_one_in_the_middle_and_falls_to_the_edge():
    truth = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(3, 1)
    anchors = torch.tensor([[4.0, 4.0, 6.0, 6.0], [1.0, 4.0, 3.0, 6.0], [-1.0, 4.0, 1.0, 6.0]])
    assert centerness_targets(anchors, truth).tolist() == pytest.approx([1.0, 0.5, 0.0])


def test_a_phrase_is_the_mean_the_largest_or_the_geometric_mean_of_its_tokens():
    logits = torch.tensor([[0.0, math.log(3), -50.0]])  # probabilities 1/2, 3/4 and 0
    phrases = [[0, 1], [2], []]
    assert phrase_probabilities(logits, phrases)[0].tolist() == pytest.approx([0.625, 0, 0], abs=1e-6)
    assert phrase_probabilities(logits, phrases, "max")[0].tolist() == pytest.approx([0.75, 0, 0], abs=1e-6)
    assert phrase_probabilities(logits, phrases, "power")[0, 0] == pytest.approx((0.5 * 0.75) ** 0.5)


def test_a_score_is_the_geometric_mean_with_the_centerness():
    found = level_candidates(
        torch.tensor([[0.0, 0.0, 5.0, 5.0], [1.0, 1.0, 2.0, 2.0]]),
        torch.tensor([[0.81, 0.04], [0.5, 0.2]]),
        torch.tensor([50.0, 0.0]),
        torch.tensor([7, 9]),
        PostSettings(least=0.05, top_places=2),
    )
    assert found.labels.tolist() == [7, 7]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])


def test_the_two_rules_differ_where_one_pixel_decides():
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 5.0]])
    found = Found(boxes, torch.tensor([0.9, 0.8]), torch.tensor([1, 1]))
    assert overlaps_of(boxes, boxes)[0, 1] == pytest.approx(0.6)  # 60 of 100 pixels, the last ones counted
    assert len(suppressed(found, PostSettings(overlap=0.58, rule="gpu")).scores) == 1
    assert len(suppressed(found, PostSettings(overlap=0.58, rule="cpu")).scores) == 2  # 45 of 81


def test_labels_do_not_suppress_each_other_and_the_best_stay():
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]]).repeat(3, 1)
    found = Found(boxes, torch.tensor([0.5, 0.9, 0.7]), torch.tensor([1, 2, 1]))
    kept = suppressed(found, PostSettings())
    assert kept.labels.tolist() == [2, 1]
    assert kept.scores.tolist() == pytest.approx([0.9, 0.7])
    assert suppressed(found, PostSettings(most=1)).labels.tolist() == [2]
    assert len(joined([found, kept]).scores) == 5


def test_boxes_are_cut_at_the_last_pixel():
    assert clipped(torch.tensor([[-3.0, 2.0, 99.0, 99.0]]), (20, 30)).tolist() == [[0.0, 2.0, 29.0, 19.0]]


def test_label_k_stands_in_column_k_minus_1():
    assert label_columns({1: [4], 3: [5, 6]}, 4) == [[4], (), [5, 6], ()]
