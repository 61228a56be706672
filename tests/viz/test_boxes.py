"""Boxes as pictures and as files: colours, captions, what can be read back."""

import csv
import io
import re

import numpy as np
import pytest
from pycocotools.coco import COCO

from core.results import Boxes
from core.viz import box_files, boxes, segments

LABELS = ("dog", "car", "a rather long name of a thing that is somewhere in this picture")


def some_boxes(rows, labels, size_hw=(100, 150)):
    return Boxes(
        boxes_xyxy=np.array(rows, np.float32).reshape(-1, 4),
        labels=tuple(labels),
        scores=np.linspace(0.9, 0.5, len(labels)).astype(np.float32),
        size_hw=size_hw,
    )


@pytest.fixture
def found():
    rows = [(10, 20, 60, 80), (100, 0, 150, 30), (0, 70, 40, 100), (0, 0, 150, 100)]
    return some_boxes(rows, ("car", "dog", LABELS[2], "car"))


def test_a_label_has_the_colour_of_its_place_in_the_list_whatever_was_found(found):
    marks = boxes.marks_of(found, LABELS)
    assert [mark.color for mark in marks] == [segments.label_color(i) for i in (1, 0, 2, 1)]
    assert [mark.word for mark in marks] == [1, 0, 2, 1]
    alone = some_boxes([(0, 0, 5, 5)], ["car"])
    assert boxes.marks_of(alone, LABELS)[0].color == marks[0].color
    assert marks[0].caption == "car 0.90"
    assert boxes.marks_of(found, LABELS, scores=False)[0].caption == "car"


@pytest.mark.parametrize("size_hw", [(100, 150), (30, 400), (400, 30), (1, 1), (2000, 1), (1, 2000)])
@pytest.mark.parametrize("letters", [4.0, 14.0, 60.0])
def test_captions_never_leave_the_picture(size_hw, letters):
    height, width = size_hw
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(-20, 1.2 * max(size_hw), (20, 2, 2)), 1).reshape(20, 4).tolist()
    marks = [boxes.Mark(box_xyxy=tuple(c), caption=LABELS[i % 3], color="#0072B2") for i, c in enumerate(corners)]
    placed = boxes.place_captions(marks, size_hw, letters)
    assert len(placed) == 20
    for caption in placed:
        if caption is not None:
            x0, y0, x1, y1 = caption.box_xyxy
            assert 0 <= x0 < x1 <= width + 1e-6
            assert 0 <= y0 < y1 <= height + 1e-6


def test_a_long_caption_is_shortened_and_one_without_room_is_left_out():
    mark = boxes.Mark(box_xyxy=(0, 0, 50, 50), caption=LABELS[2], color="#0072B2")
    (caption,) = boxes.place_captions([mark], (60, 100), 10)
    assert caption.text.endswith("…")
    assert LABELS[2].startswith(caption.text[:-1])
    assert boxes.place_captions([mark], (60, 5), 10) == [None]
    assert boxes.place_captions([mark], (5, 600), 10) == [None]


def test_captions_on_show_do_not_cover_one_another():
    marks = [boxes.Mark(box_xyxy=(40, 40, 60, 60), caption="dog", color="#0072B2")] * 30
    placed = boxes.place_captions(marks, (100, 100), 8)
    shown = [caption.box_xyxy for caption in placed if not caption.crowded]
    assert 1 < len(shown) < 30
    for i, one in enumerate(shown):
        for other in shown[:i]:
            wide = min(one[2], other[2]) - max(one[0], other[0])
            high = min(one[3], other[3]) - max(one[1], other[1])
            assert max(0, wide) * max(0, high) <= boxes.MOST_COVERED * (one[2] - one[0]) * (one[3] - one[1]) + 1e-6


def test_a_chinese_caption_gets_more_room_than_a_latin_one():
    (wide,), (narrow,) = (
        boxes.place_captions([boxes.Mark(box_xyxy=(0, 0, 9, 9), caption=text, color="#0072B2")], (100, 300), 10)
        for text in ("汽车", "ab")
    )
    assert wide.box_xyxy[2] - wide.box_xyxy[0] > narrow.box_xyxy[2] - narrow.box_xyxy[0]


def test_drawing_shows_frames_and_leaves_the_picture_alone(found):
    picture = np.full((100, 150, 3), 90, np.uint8)
    drawn = boxes.drawn(picture, boxes.marks_of(found, LABELS))
    scale = boxes.enlargement(picture)
    assert scale == 4
    assert drawn.shape == (400, 600, 3)
    assert (picture == 90).all()
    colors = {tuple(color) for color in drawn.reshape(-1, 3)}
    assert {tuple(color) for color in segments.label_colors(3)} <= colors
    assert boxes.enlargement(np.zeros((1000, 700, 3), np.uint8)) == 1


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 2000), (2000, 1)])
def test_extreme_pictures_can_be_drawn(size_hw):
    picture = np.zeros((*size_hw, 3), np.uint8)
    marks = boxes.marks_of(some_boxes([(0, 0, *size_hw[::-1])], ["dog"], size_hw), LABELS)
    assert boxes.drawn(picture, marks).size
    assert f'viewBox="0 0 {size_hw[1]} {size_hw[0]}"' in boxes.stage(picture, marks, name="x")


def test_a_word_lights_up_its_own_boxes(found):
    page = boxes.stage(np.zeros((100, 150, 3), np.uint8), boxes.marks_of(found, LABELS), name="answer")
    assert page.count('class="b b1"') == 2
    assert page.count('class="b b0"') == 1
    assert ".boxes-answer:has(.w1:hover,.w1:focus,.b1:hover) .b:not(.b1){opacity:.07}" in page
    assert ".w.none:hover" in page


def test_what_a_user_wrote_cannot_become_markup():
    evil = '<script>alert("x")</script>'
    picture = np.zeros((100, 600, 3), np.uint8)
    marks = boxes.marks_of(some_boxes([(0, 0, 9, 9)], [evil], (100, 600)), (evil,))
    page = boxes.stage(picture, marks, boxes.word_list((evil,), [1]) + boxes.sentence(evil, [(0, 8)], [1]), name="x")
    assert "<script" not in page


def test_a_sentence_keeps_every_letter_and_marks_its_phrases():
    text = "a dog & a car"
    page = boxes.sentence(text, [(8, 13), (0, 5)], [2, 0])
    assert re.sub(r"<b>\d+</b>|<[^>]+>", "", page) == "a dog &amp; a car"
    assert page.index("w1") < page.index("w0")
    assert 'class="w w1 none"' in page


def test_of_many_words_those_with_boxes_are_listed():
    labels = tuple(f"word{i}" for i in range(2000))
    counts = [0] * 2000
    counts[1500] = 3
    page = boxes.word_list(labels, counts)
    assert "word1500" in page
    assert page.count('class="w ') == boxes.SHOWN_WORDS
    assert "+ 1984" in page


def test_grades_go_from_dark_to_bright_and_the_highest_lies_on_top():
    marks = boxes.graded([(0, 0, 1, 1), (0, 0, 2, 2), (0, 0, 3, 3)], [0.5, 1.0, 0.0], ["a", "b", "c"])
    assert [mark.caption for mark in marks] == ["c", "a", "b"]
    assert marks[0].color == "#00224E"
    assert marks[-1].color == "#FEE838"


def test_coco_can_be_read_by_its_own_reader_with_masks(found):
    masks = np.zeros((4, 100, 150), bool)
    masks[0, 20:80, 10:60] = True
    data = box_files.coco(found, LABELS, "a.png", masks)
    coco = COCO()
    coco.dataset = data
    coco.createIndex()
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == list(LABELS)
    first, second, *_ = data["annotations"]
    assert first["bbox"] == [10, 20, 50, 60]
    assert first["category_id"] == 2
    assert first["score"] == pytest.approx(0.9)
    assert first["area"] == 3000
    assert np.array_equal(coco.annToMask(first), masks[0])
    assert "segmentation" not in second


def test_the_table_holds_every_box(found):
    rows = list(csv.DictReader(io.StringIO(box_files.table(found))))
    assert [row["label"] for row in rows] == list(found.labels)
    read = np.array([[float(row[edge]) for edge in ("x0", "y0", "x1", "y1")] for row in rows])
    assert np.allclose(read, found.boxes_xyxy, atol=0.01)


def test_yolo_s_lines_give_the_boxes_back(found):
    lines = [line.split() for line in box_files.yolo(found, LABELS).splitlines()]
    assert [int(line[0]) for line in lines] == [1, 0, 2, 1]
    x, y, width, height = np.array([[float(cell) for cell in line[1:]] for line in lines]).T
    read = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1) * [150, 100, 150, 100]
    assert np.allclose(read, found.boxes_xyxy, atol=0.01)


def test_files_cut_boxes_to_the_picture_and_drop_those_outside_it():
    found = some_boxes([(-10, -10, 20, 20), (200, 0, 220, 10), (5, 5, 5, 9)], ["dog", "car", "car"])
    (annotation,) = box_files.coco(found, LABELS, "a.png")["annotations"]
    assert annotation["bbox"] == [0, 0, 20, 20]
    assert len(box_files.yolo(found, LABELS).splitlines()) == 1
    assert len(box_files.table(found).splitlines()) == 2


def test_nothing_found_makes_empty_files_with_all_categories():
    nothing = some_boxes([], [])
    assert len(box_files.coco(nothing, LABELS, "a.png")["categories"]) == 3
    assert box_files.yolo(nothing, LABELS) == ""
    assert box_files.table(nothing).count("\n") == 1
    assert "<svg" in boxes.stage(np.zeros((9, 9, 3), np.uint8), [], name="x")
