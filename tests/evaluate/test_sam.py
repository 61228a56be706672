"""SAM's figures: perfect masks score 1, and the figures are those that the issue names."""

import argparse

import numpy as np
import pytest

from core import registry
from core.evaluate import sam as module
from core.evaluate.sam import draw, evaluate_sam, truth
from core.segmentation.masks import MaskSet
from core.segmentation.sam import SegmentAnything
from core.world.captions import shown


class Oracle(SegmentAnything):
    """Answers with the true mask under the click, or in the box."""

    weights = "oracle"

    def __init__(self, views):
        self.views = {view.rgb.tobytes(): view for view in views}

    def _set(self, masks):
        masks = np.asarray(masks, bool)
        ones = np.ones(len(masks), np.float32)
        return MaskSet(masks=masks, predicted_iou=ones, stability=ones, logits=np.zeros((len(masks), 4, 4), np.float32))

    def points(self, picture, points, labels, *, before=None, three=True):
        (x, y), view = points[0], self.views[picture.tobytes()]
        return self._set([view.instances.ids == view.instances.ids[y, x]] * (3 if three else 1))

    def box(self, picture, box):
        masks = truth(self.views[picture.tobytes()])
        boxes = [(*np.argwhere(mask).min(0)[::-1], *(np.argwhere(mask).max(0)[::-1] + 1)) for mask in masks]
        return self._set([masks[boxes.index(tuple(box))]])

    def everything(self, picture):
        return self._set(truth(self.views[picture.tobytes()])[1:])


@pytest.fixture(scope="module")
def views():
    return list(draw(module.FIRST_SEED, 4))


def test_scenes_hold_one_to_four_things(views):
    assert [len(view.scene.things) for view in views] == [1, 2, 3, 4]
    assert all(truth(view).shape == (len(shown(view)), 256, 256) for view in views)


def test_true_masks_score_one_and_what_everything_lacks_is_missing(views):
    oracle = Oracle(views)
    found = module.prompted(oracle, views)
    assert found["iou_point"] == found["iou_box"] == found["iou_two_points"] == 1
    assert found["predicted_iou_error"] == 0
    things = sum(len(shown(view)) for view in views)
    assert found["things"] == things
    everything = module.found_by_everything(oracle, views)
    assert everything["everything_recall"] == pytest.approx((things - 4) / things)


def test_the_figures_are_those_that_the_issue_names(views, monkeypatch):
    real, model = registry.load, Oracle(views)
    monkeypatch.setattr(registry, "load", lambda name, *rest: model if name == "sam" else real(name, *rest))
    monkeypatch.setattr(module, "CLIPS", ("toybox-vit",))
    found = evaluate_sam(argparse.Namespace(weights=None, seed=0, size=4))
    assert {"iou_point", "iou_box", "everything_recall", "region_top1"} <= set(found)
    assert set(found["region_top1"]["toybox-vit"]) == {"bbox", "black", "mean", "blur", "context", "dense"}
