"""What is said of the segmenters, each a function of a seed, measured on a few fresh Toybox scenes with their truth.

`core.evaluate` measures the same on many more; here a lecture hall waits. Every function takes the models, a seed, the
number of scenes and the language, and returns a table and one sentence about it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.metrics.segmentation import Confusion, apart, main_groups, oracle_labels, pooled_iou
from core.prompts import TEMPLATES
from core.viz import charts
from demos.segmentation_kept import MODES, NO_BLOCKS, OTHER, Models
from demos.shell import note
from demos.text import say

FIRST_SEED = 2_000_000  # beyond the seeds that scenes have in the tabs, and those of training
PIXELS, NAMED_PIXELS = 192, 256
MOST_THINGS = 4
THINGS = (1, 2, 3, 4, 6, 8, 10, 12)
THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RENAMED = (("chair", "furniture"), ("table", "furniture"), ("car", "vehicle"), ("boat", "ship"), ("dog", "animal"))
MOST_ROWS = 5
MOST_SEED = 999


@dataclass(frozen=True, kw_only=True)
class Table:
    """What was measured, in words that can be shown."""

    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    said: str

    def html(self) -> str:
        """Return it for the page."""
        return note(self.said) + charts.table(self.headings, self.rows)


def measure(claim: str, models: Models, seed: float | None, size: float, language: str) -> str:
    """Measure a claim on so many scenes of a seed; ValueError for a seed that is no number from 0."""
    if seed is None or not 0 <= seed <= MOST_SEED:
        raise ValueError(f"Give the scenes a number from 0 to {MOST_SEED}, for example 0.")
    return CLAIMS[claim][1](models, FIRST_SEED + 1000 * int(seed), int(size), language).html()


def blocks(models: Models, seed: int, size: int, language: str) -> Table:
    """Measure LSeg with no block, and with one, two and four, on words that had masks and on words that had none."""
    from core.world.scene import BASE, NOVEL
    from core.world.shapes import CATEGORIES

    model, words = models.open("lseg"), (*CATEGORIES, OTHER)
    counts = {name: Confusion(len(words)) for name in model.regularisers}
    for view in scenes(seed, size):
        for name, regulariser in model.regularisers.items():
            found = model.segment(view.rgb, words, replace(model.defaults, regulariser=regulariser)).label_map()
            counts[name].add(found.ids, _truth(view))
    rows, annotated = [], {}
    for name, count in sorted(counts.items(), key=lambda item: (item[0] != NO_BLOCKS, item[0])):
        seen, novel = (count.mean_iou([CATEGORIES.index(word) for word in group]) for group in (BASE, NOVEL))
        annotated[name] = seen
        rows.append((name, number(seen), number(novel), f"{count.accuracy():.1%}"))
    none = annotated.pop(NO_BLOCKS)
    gain = max(annotated.values(), default=none) - none
    headings = tuple(say(language, key) for key in ("sg_blocks_head", "sg_seen", "sg_novel", "sg_right_pixels"))
    return Table(headings=headings, rows=rows, said=say(language, "sg_said_blocks", scenes=size, gain=gain))


def omitted(models: Models, seed: int, size: int, language: str) -> Table:
    """Leave a thing's word off LSeg's list, with 'other' on it and without, and say where its pixels go."""
    from core.world.shapes import CATEGORIES

    model, went = models.open("lseg"), {"with": Counter(), "without": Counter()}
    for view in scenes(seed, size):
        word = view.boxes.labels[0]
        inside = view.categories.mask(CATEGORIES.index(word))
        left = tuple(each for each in CATEGORIES if each != word)
        for name, words in (("with", (*left, OTHER)), ("without", left)):
            ids = model.segment(view.rgb, words).label_map().ids
            went[name].update(words[i] for i in ids[inside])
    totals = {name: max(1, sum(count.values())) for name, count in went.items()}
    listed = [word for word, _ in (went["with"] + went["without"]).most_common(MOST_ROWS)]
    rows = [(word, *(f"{went[name][word] / totals[name]:.1%}" for name in went)) for word in listed]
    headings = tuple(say(language, key) for key in ("sg_went_to", "sg_with_other", "sg_without_other"))
    share = went["with"][OTHER] / totals["with"]
    return Table(headings=headings, rows=rows, said=say(language, "sg_said_omitted", scenes=size, share=share))


def renamed(models: Models, seed: int, size: int, language: str) -> Table:
    """Put a wider or another word in the place of a thing's own on LSeg's list, and measure the IoU of both."""
    from core.world.shapes import CATEGORIES

    model, rows = models.open("lseg"), []
    each = max(2, size // len(RENAMED))
    for word, other in RENAMED:
        views = [of_category(seed + i, word) for i in range(each)]
        ious = []
        for asked in (word, other):
            words = (*(name for name in CATEGORIES if name != word), OTHER, asked)
            ious.append(_iou_of_last(model, views, words, CATEGORIES.index(word)))
        known = say(language, "sg_no" if model.unseen_words([other]) else "sg_yes")
        rows.append((f"{word} → {other}", number(ious[0]), number(ious[1]), known))
    headings = tuple(say(language, key) for key in ("sg_word", "sg_own_word", "sg_other_word", "sg_known"))
    return Table(headings=headings, rows=rows, said=say(language, "sg_said_renamed", scenes=each))


def twice(models: Models, seed: int, size: int, language: str) -> Table:
    """Write a thing's word twice on LSeg's list: what happens to labels and probability."""
    model, second, changed, ratios = models.open("lseg"), 0, 0, []
    for view in scenes(seed, size):
        word = view.boxes.labels[0]
        one, two = (model.segment(view.rgb, words) for words in ((word, OTHER), (word, word, OTHER)))
        before, after = one.label_map().ids, two.label_map().ids
        second += int((after == 1).sum())
        changed += int((np.array([0, 0, 1])[after] != before).sum())
        x, y = (int(side) for side in (view.boxes.boxes_xyxy[0, :2] + view.boxes.boxes_xyxy[0, 2:]) / 2)
        ratios.append(float(two.probabilities_at(x, y)[0] / max(float(one.probabilities_at(x, y)[0]), 1e-9)))
    values = (str(second), str(changed), f"{np.median(ratios):.2f}")
    names = ("sg_pixels_second", "sg_pixels_changed", "sg_probability_ratio")
    rows = [(say(language, key), value) for key, value in zip(names, values, strict=True)]
    headings = (say(language, "sg_measured"), say(language, "sg_value"))
    return Table(headings=headings, rows=rows, said=say(language, "sg_said_twice", scenes=size))


def cap(models: Models, seed: int, size: int, language: str) -> Table:
    """Count GroupViT's segments as the scene grows from 1 to 12 things."""
    from core.world.captions import shown

    model, rows = models.open("groupvit"), []
    each = max(2, size // len(THINGS))
    for things in THINGS:
        views = [view_of(seed + 100 * things + i, things) for i in range(each)]
        maps = [model.look(view.rgb).map for view in views]
        counts = [len(np.unique(groups)) for groups in maps]
        visible = float(np.mean([len(shown(view)) for view in views]))
        alone = float(np.mean([apart(masks_of(view), groups) for view, groups in zip(views, maps, strict=True)]))
        rows.append((str(things), f"{visible:.1f}", f"{np.mean(counts):.1f}", str(max(counts)), f"{alone:.0%}"))
    keys = ("sg_things", "sg_visible", "sg_segments", "sg_most_segments", "sg_apart")
    headings = tuple(say(language, key) for key in keys)
    said = say(language, "sg_said_cap", groups=model.most_groups, scenes=each)
    return Table(headings=headings, rows=rows, said=said)


def merged(models: Models, seed: int, size: int, language: str) -> Table:
    """Say how often GroupViT gives two things of a scene the same group: two of one category, and of two."""
    from core.world.picture import two_of
    from core.world.shapes import CATEGORIES

    model, pairs = models.open("groupvit"), {"same": [], "two": []}
    for i in range(size):
        rng = np.random.default_rng((seed, i))
        first, second = (str(name) for name in rng.choice(CATEGORIES, 2, replace=False))
        for kind, names in (("same", (first,)), ("two", (first, second))):
            if (view := two_of(rng, names, PIXELS)) is not None:
                groups = main_groups(masks_of(view), model.look(view.rgb).map)
                pairs[kind].append(groups[0] == groups[1])
    rows = [
        (
            say(language, key),
            number(float(np.mean(pairs[kind])) if pairs[kind] else float("nan")),
            str(len(pairs[kind])),
        )
        for kind, key in (("same", "sg_same_category"), ("two", "sg_two_categories"))
    ]
    headings = tuple(say(language, key) for key in ("sg_pair", "sg_one_group", "sg_scenes"))
    return Table(headings=headings, rows=rows, said=say(language, "sg_said_merged"))


def sweep(models: Models, seed: int, size: int, language: str) -> Table:
    """Move GroupViT's background threshold, from one look at each scene."""
    from core.world.shapes import CATEGORIES

    model, counts = models.open("groupvit"), {each: Confusion(len(CATEGORIES) + 1) for each in THRESHOLDS}
    for view in scenes(seed, size):
        answer = model.segment(view.rgb, CATEGORIES)
        for threshold, count in counts.items():
            count.add(_with_background(answer.label_map(threshold).ids), _truth(view))
    values = {threshold: count.mean_iou() for threshold, count in counts.items()}
    rows = [
        (f"{threshold:g}", number(values[threshold]), number(float(count.iou()[-1])))
        for threshold, count in counts.items()
    ]
    headings = tuple(say(language, key) for key in ("sg_threshold", "sg_miou", "sg_background_iou"))
    best = max(values, key=values.__getitem__)
    said = say(language, "sg_said_sweep", best=best, miou=values[best], own=model.defaults.threshold, scenes=size)
    return Table(headings=headings, rows=rows, said=said)


def oracle(models: Models, seed: int, size: int, language: str) -> Table:
    """Compare GroupViT's groups under an oracle's labels with those under the words, by the number of things."""
    from core.world.shapes import CATEGORIES

    model, rows = models.open("groupvit"), []
    each = max(2, size // MOST_THINGS)
    for things in range(1, MOST_THINGS + 1):
        grouping, words = Confusion(len(CATEGORIES) + 1), Confusion(len(CATEGORIES) + 1)
        for i in range(each):
            view = view_of(seed + 100 * things + i, things)
            answer, truth = model.segment(view.rgb, CATEGORIES), _truth(view)
            grouping.add(oracle_labels(answer.groups.map, truth), truth)
            words.add(_with_background(answer.label_map().ids), truth)
        rows.append((str(things), number(grouping.mean_iou()), number(words.mean_iou())))
    headings = tuple(say(language, key) for key in ("sg_things", "sg_oracle", "sg_text"))
    return Table(headings=headings, rows=rows, said=say(language, "sg_said_oracle", scenes=each))


def modes(models: Models, seed: int, size: int, language: str) -> Table:
    """Measure how often CLIP names a true mask rightly, by the way in which the mask is shown to it."""
    from core.world.captions import shown
    from core.world.picture import picture
    from core.world.shapes import CATEGORIES

    model, clip, right = models.open("sam"), models.open_namer(), {mode: [] for mode in MODES}
    for i in range(size):
        view = picture(seed + i, NAMED_PIXELS, count=1 + i % MOST_THINGS, samples=2)
        wanted = [view.scene.things[index].category for index in shown(view)]
        masks = model.drawn(np.stack([view.instances.mask(index) for index in shown(view)]))
        for mode in MODES:
            settings = replace(model.default_region, mode=mode)
            asked = {"settings": settings, "templates": TEMPLATES["one template"], "negatives": ()}
            found = model.label(view.rgb, masks, CATEGORIES, clip, **asked)
            right[mode] += [ranking.best == name for ranking, name in zip(found.rankings, wanted, strict=True)]
    order = sorted(MODES, key=lambda mode: -float(np.mean(right[mode])))
    rows = [(mode, f"{np.mean(right[mode]):.1%}") for mode in order]
    said = say(language, "sg_said_modes", masks=len(right[MODES[0]]), chance=1 / len(CATEGORIES), namer=models.namer)
    return Table(headings=(say(language, "sg_mode"), say(language, "sg_right")), rows=rows, said=said)


CLAIMS: dict[str, tuple[str, Callable[[Models, int, int, str], Table]]] = {  # what the list calls each
    "blocks": ("sg_claim_blocks", blocks),
    "omitted": ("sg_claim_omitted", omitted),
    "renamed": ("sg_claim_renamed", renamed),
    "twice": ("sg_claim_twice", twice),
    "cap": ("sg_claim_cap", cap),
    "merged": ("sg_claim_merged", merged),
    "sweep": ("sg_claim_sweep", sweep),
    "oracle": ("sg_claim_oracle", oracle),
    "modes": ("sg_claim_modes", modes),
}


def view_of(seed: int, things: int) -> Any:
    """Draw a scene with so many things."""
    from core.world.picture import picture

    return picture(seed, PIXELS, count=things, samples=2)


def scenes(seed: int, size: int) -> Iterator[Any]:
    """Draw scenes of one to four things in turn."""
    return (view_of(seed + i, 1 + i % MOST_THINGS) for i in range(size))


def of_category(seed: int, category: str) -> Any:
    """Draw a scene with one thing of a category."""
    from core.world.render import render
    from core.world.scene import SEEN_PAIRS, sample

    pairs = tuple(pair for pair in SEEN_PAIRS if pair[1] == category)
    return render(sample(np.random.default_rng(seed), count=1, pairs=pairs), (PIXELS, PIXELS), samples=2)


def masks_of(view: Any) -> list[np.ndarray]:
    """Return the masks of the things that show."""
    from core.world.captions import shown

    return [view.instances.mask(i) for i in shown(view)]


def number(value: float | None) -> str:
    """Return a ratio with two digits, a dash where there is none."""
    return "–" if value is None or np.isnan(value) else f"{value:.2f}"


def _with_background(ids: np.ndarray) -> np.ndarray:
    """Make -1 the label after the categories."""
    from core.world.shapes import CATEGORIES

    return np.where(ids < 0, len(CATEGORIES), ids)


def _truth(view: Any) -> np.ndarray:
    return _with_background(view.categories.ids)


def _iou_of_last(model: Any, views: list[Any], words: tuple[str, ...], category: int) -> float | None:
    return pooled_iou(
        (model.segment(view.rgb, words).label_map().ids == len(words) - 1, view.categories.mask(category))
        for view in views
    )
