"""How CLIPasso draws: the paper's setting, and ones for a CPU.

Paper: Vinker et al. 2022, SIGGRAPH, https://arxiv.org/abs/2202.05822. Numbers from yael-vinker/CLIPasso at 92262f7,
config.py and run_object_sketching.py, which overrides some of them.
"""

from dataclasses import dataclass, replace

from core.sketch.losses import SEMANTIC_WEIGHT, STAGES
from core.sketch.run import Schedule
from core.sketch.saliency import TEMPERATURE

MOST_STROKES = 256
MOST_SEEDS = 16
MOST_VIEWS = 64
LEAST_WIDTH, MOST_WIDTH = 0.25, 64.0
WIDTH_PIXELS = 3.0  # config.py, width 1.5, is half of it
TOLERANCE = 1e-5  # painterly_rendering.py, min_delta
STARTS = ("saliency", "attention", "random")


@dataclass(frozen=True, kw_only=True)
class ClipassoSettings:
    """How a picture is drawn; the defaults are the paper's setting."""

    strokes: int = 16
    iterations: int = 2001  # run_object_sketching.py
    seeds: int = 3  # drawn side by side; the best is kept
    first_seed: int = 0
    start: str = "saliency"  # 'attention' leaves the edges out, 'random' looks at nothing
    temperature: float = TEMPERATURE
    geometric: bool = True
    semantic: bool = True
    layers: tuple[int, ...] = (2, 3)  # ResNet stages of the geometric loss; the paper calls these 3 and 4
    semantic_weight: float = SEMANTIC_WEIGHT
    augmentations: int = 4  # random views a step, beside the sketch itself
    width: float = WIDTH_PIXELS  # of a stroke, all of it, in pixels of the canvas
    learning_rate: float = 1.0  # config.py, lr: pixels of the canvas
    evaluate_every: int = 10  # config.py, eval_interval
    stretch: bool = True  # make a picture square by stretching, as released, or with white margins
    cut_out: bool = False  # run_object_sketching.py, mask_object 0

    def __post_init__(self) -> None:
        _between("strokes", self.strokes, 1, MOST_STROKES)
        _between("seeds", self.seeds, 1, MOST_SEEDS)
        _between("random views", self.augmentations, 0, MOST_VIEWS)
        _between("pixels of width", self.width, LEAST_WIDTH, MOST_WIDTH)
        if self.start not in STARTS:
            raise ValueError(f"wanted one of {', '.join(STARTS)}, got {self.start!r}")
        if not (self.geometric or self.semantic):
            raise ValueError("Switch on at least one of the two losses, geometric or semantic.")
        if self.geometric and not (self.layers and set(self.layers) <= set(range(len(STAGES)))):
            raise ValueError(f"wanted at least one of the layers 0 (the stem) to 4, got {self.layers}")
        if not (self.temperature > 0 and self.learning_rate > 0):
            raise ValueError(
                f"wanted a temperature and a learning rate above 0, got {self.temperature} and {self.learning_rate}"
            )
        self.schedule  # noqa: B018 checks the other numbers

    @property
    def schedule(self) -> Schedule:
        """How long it draws."""
        return Schedule(iterations=self.iterations, evaluate_every=self.evaluate_every, tolerance=TOLERANCE)

    @property
    def layer_weights(self) -> tuple[float, ...]:
        """The weight of each of the ResNet's feature maps, the stem's first."""
        return tuple(float(self.geometric and stage in self.layers) for stage in range(len(STAGES)))


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"wanted {low} to {high} {name}, got {value}")


PAPER = ClipassoSettings()
CPU = ClipassoSettings(  # for networks that see 64 pixels: one of theirs is 3.5 of the canvas
    iterations=150, seeds=2, augmentations=2, learning_rate=3.5, stretch=False, cut_out=True
)
CPU_QUICK = replace(CPU, iterations=60, seeds=1, augmentations=1)
PRESETS: dict[str, ClipassoSettings] = {"paper": PAPER, "CPU": CPU, "CPU, quick": CPU_QUICK}
