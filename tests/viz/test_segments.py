"""Labels keep their colour from picture to legend to file, and nothing is written into what was given."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from core.results import LabelMap
from core.viz import segment_files as files
from core.viz import segments
from core.viz.palette import OKABE_ITO, rgb
from core.viz.segments import LegendRow

HEADINGS = ("word", "share", "IoU", "score")
PICTURE = np.full((4, 6, 3), 100, np.uint8)
PICTURE.flags.writeable = False
IDS = np.array([[0, 0, 1, 1, -1, -1]] * 4, np.int32)
LABELS = LabelMap(ids=IDS, labels=("dog", "cat", "sky"))


def test_the_first_24_labels_differ_and_begin_with_the_palette():
    colors = [segments.label_color(i) for i in range(24)]
    assert tuple(colors[: len(OKABE_ITO)]) == OKABE_ITO
    assert len(set(colors)) == 24
    assert segments.label_color(24) == colors[0]


def test_a_pixel_shows_its_labels_colour_and_one_without_stays():
    full = segments.labelled(PICTURE, LABELS, opacity=1)
    assert full[1, 0].tolist() == list(rgb(segments.label_color(0)))
    assert full[1, 2].tolist() == list(rgb(segments.label_color(1)))
    assert full[1, 1].tolist() == list(segments.LINE)  # between two labels
    assert full[1, 5].tolist() == [100, 100, 100]
    half = segments.labelled(PICTURE, LABELS, opacity=0.5)
    assert half[1, 0].tolist() == [round((100 + value) / 2) for value in rgb(segments.label_color(0))]
    assert np.array_equal(segments.labelled(PICTURE, LABELS, opacity=0), PICTURE)


@pytest.mark.parametrize("bad", [{"opacity": 1.5}, {"opacity": -0.1}])
def test_an_opacity_beyond_all_or_nothing_is_refused(bad):
    with pytest.raises(ValueError, match="opacity from 0 to 1"):
        segments.labelled(PICTURE, LABELS, **bad)


def test_labels_and_masks_of_another_size_are_refused():
    with pytest.raises(ValueError, match="wanted labels for"):
        segments.labelled(np.zeros((3, 3, 3), np.uint8), LABELS)
    with pytest.raises(ValueError, match="wanted a mask of"):
        segments.outlined(PICTURE, np.zeros((3, 3), bool))


def test_outside_a_mask_the_picture_is_dark():
    out = segments.outlined(PICTURE, IDS == 0)
    assert out[1, 0].tolist() == [100, 100, 100]
    assert out[1, 4].tolist() == [35, 35, 35]


def test_clicks_and_boxes_are_drawn_where_they_are():
    picture = np.zeros((80, 80, 3), np.uint8)
    out = segments.prompted(picture, [(20, 30, 1), (60, 30, 0)], (5, 50, 75, 70))
    assert (out[30, 20] == 255).all()  # the plus
    assert out[27, 23].tolist() == list(rgb(segments.INSIDE))
    assert out[33, 57].tolist() == list(rgb(segments.OUTSIDE))
    assert out[50, 40].any()
    assert not out[60, 40].any()
    assert not picture.any()


def test_places_become_blocks():
    grid = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    out = segments.places(grid, (2, 4))
    assert out[:, :2].reshape(-1, 3).tolist() == [[1, 2, 3]] * 4
    assert out[:, 2:].reshape(-1, 3).tolist() == [[4, 5, 6]] * 4


def test_scores_are_bright_where_they_are_high_on_one_scale():
    values = np.array([[0.0, 1.0]], np.float32)
    own, common = segments.scores(values), segments.scores(values, 0, 2)
    assert own[0, 1].sum() > common[0, 1].sum() > own[0, 0].sum()
    assert segments.scores(np.zeros((2, 2), np.float32)).shape == (2, 2, 3)


def test_a_legend_has_the_colours_of_the_picture_and_only_known_columns():
    rows = [
        LegendRow(index=0, label="dog", share=0.2, iou=0.5),
        LegendRow(index=1, label="<cat>", share=0.7),
        LegendRow(index=-1, label="nothing", share=0.1),
    ]
    html = segments.legend(rows, HEADINGS)
    assert segments.label_color(0) in html
    assert html.index("&lt;cat&gt;") < html.index("dog") < html.index("nothing")
    assert "IoU" in html
    assert "score" not in html
    assert "0.50" in html


def test_a_long_legend_counts_what_it_leaves_out():
    rows = [LegendRow(index=i, label=str(i), share=0.0) for i in range(200)]
    html = segments.legend([*rows, LegendRow(index=-1, label="nothing", share=1.0)], HEADINGS)
    assert html.count('scope="row"') == segments.MOST_ROWS + 1
    assert f"+ {200 - segments.MOST_ROWS}" in html


def test_the_index_png_holds_indices_in_the_labels_colours(tmp_path):
    path = tmp_path / "index.png"
    path.write_bytes(files.index_png(LABELS))
    image = Image.open(path)
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), np.where(IDS < 0, files.NOTHING, IDS))
    assert np.asarray(image.convert("RGB"))[0, 2].tolist() == list(rgb(segments.label_color(1)))


def test_an_index_png_has_room_for_255_labels():
    ids = np.zeros((2, 2), np.int32)
    files.index_picture(LabelMap(ids=ids, labels=tuple(map(str, range(255)))))
    with pytest.raises(ValueError, match="at most 255 labels"):
        files.index_picture(LabelMap(ids=ids, labels=tuple(map(str, range(256)))))


def test_pycocotools_reads_the_same_masks(tmp_path):
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(files.coco(files.pieces_of(LABELS), LABELS.labels, (4, 6), "a.png")))
    read = COCO(str(path))
    found = read.loadAnns(read.getAnnIds())
    assert [read.cats[each["category_id"]]["name"] for each in found] == ["dog", "cat"]
    assert [read.annToMask(each).astype(bool).tolist() for each in found] == [LABELS.mask(i).tolist() for i in (0, 1)]
    assert found[1]["bbox"] == [2, 0, 2, 4]
    assert found[1]["area"] == 8
    assert "score" not in found[0]


def test_run_lengths_come_back_and_say_the_size():
    rng = np.random.default_rng(0)
    for share in (0, 0.1, 0.5, 0.9, 1):
        mask = rng.random((7, 5)) < share
        runs = json.loads(json.dumps(files.encode(mask)))
        assert runs["size"] == [7, 5]
        assert (files.decode(runs) == mask).all()


def test_an_empty_piece_is_in_no_file_and_a_score_is_in_both():
    empty = files.Piece(mask=np.zeros((4, 6), bool), label=0, score=0.9)
    full = files.Piece(mask=IDS == 1, label=1, score=0.75)
    annotations = files.coco([empty, full], LABELS.labels, (4, 6), "a.png")["annotations"]
    assert [each["score"] for each in annotations] == [0.75]
    rows = files.table([empty, full], LABELS.labels).splitlines()
    assert rows == [",".join(files.COLUMNS), "cat,0.7500,8,0.333333,2,0,4,4"]
