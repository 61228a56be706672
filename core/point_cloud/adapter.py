"""Few-shot PointCLIP: the inter-view adapter, its loss, and the search for how much each view counts.

Paper: Zhang et al., CVPR 2022, https://arxiv.org/abs/2112.02413. Names and order of the layers, the loss and the
search are those of ZrrSkywalker/PointCLIP at 8656f2c, trainers/fewshot.py and trainers/search_weights.py.
Different from them: the release searches on the test set, with the test labels; here the caller says on what.

Legend: B clouds, V views, C size of a feature, K classes, G values a weight can take, W combinations of weights.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import log_softmax, normalize

RATIO = 0.6  # share of the adapted feature; the rest is the frozen one
FIRST_VIEW_RATIO = 0.5
DROPOUT = 0.075
SMOOTHING = 0.2
WEIGHT_GRID = (0.25, 0.5, 0.75, 1.0)  # search_weights.py: range 1 in 4 steps
STRETCH = (2 / 3, 3 / 2)
SHIFT = 0.2
SEARCH_ELEMENTS = 1 << 22  # scores held at once while searching


class ViewNorm(nn.Module):
    """Batch normalisation of features, each view of each cloud being one sample."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, features: Float[Tensor, "B V C"]) -> Float[Tensor, "B V C"]:
        """Normalise over clouds and views."""
        return self.bn(features.flatten(0, 1)).view_as(features)


class InterViewAdapter(nn.Module):
    """Lets the views of a cloud learn from all of them together."""

    def __init__(self, views: int, channels: int, *, ratio: float = RATIO, dropout: float = DROPOUT) -> None:
        """Make an untrained adapter; `channels` is the size of the backbone's features."""
        super().__init__()
        self.views, self.channels, self.ratio = views, channels, ratio
        self.fusion_ratio = nn.Parameter(torch.full((views,), FIRST_VIEW_RATIO))
        self.global_f = nn.Sequential(
            ViewNorm(channels),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(views * channels, channels),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.view_f = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, views * channels), nn.ReLU()
        )

    def forward(self, features: Float[Tensor, "B V C"]) -> Float[Tensor, "B V C"]:
        """Mix each view's feature, as the backbone gives it and not normalised, with the adapted one."""
        together = self.global_f(features * self.fusion_ratio[:, None])  # (B, C)
        adapted = self.view_f(together).view_as(features)
        return self.ratio * adapted + (1 - self.ratio) * features


def adapter_from_tensors(tensors: Mapping[str, Tensor], *, ratio: float = RATIO) -> InterViewAdapter:
    """Return an adapter in evaluation mode with these weights; ValueError where they are not one's."""
    try:
        views, channels = len(tensors["fusion_ratio"]), len(tensors["view_f.0.bias"])
        adapter = InterViewAdapter(views, channels, ratio=ratio)
        adapter.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except (KeyError, RuntimeError, TypeError):
        raise ValueError(
            "These tensors are not an inter-view adapter's: wanted fusion_ratio, global_f, view_f."
        ) from None
    return adapter.eval()


def view_parts(features: Float[Tensor, "B V C"], text: Float[Tensor, "K C"]) -> Float[Tensor, "B V K"]:
    """Return what each view adds to the cosine of all views with a text, times sqrt(V).

    The release normalises the concatenated views and the repeated text each as a whole: the mean of the parts over
    the views is that cosine. A part on its own is no cosine and can exceed 1.
    """
    unit = normalize(features.flatten(1), dim=-1).view_as(features)
    return features.shape[1] ** 0.5 * unit @ normalize(text, dim=-1).T


def adapted_logits(
    features: Float[Tensor, "B V C"], text: Float[Tensor, "K C"], scale: float | Tensor
) -> Float[Tensor, "B K"]:
    """Return the logits of an adapter's output: the scale times the cosine of all views with each text."""
    return scale * view_parts(features, text).mean(1)


def smooth_loss(logits: Float[Tensor, "B K"], labels: Int[Tensor, " B"]) -> Float[Tensor, ""]:
    """Return the cross-entropy with smoothed labels, the smoothing being spread over the other classes alone."""
    others = SMOOTHING / (logits.shape[1] - 1)
    wanted = torch.full_like(logits, others).scatter(1, labels[:, None], 1 - SMOOTHING)
    return -(wanted * log_softmax(logits, 1)).sum(1).mean()


def stretch_and_shift(points: Float[Tensor, "B N 3"], generator: torch.Generator) -> Float[Tensor, "B N 3"]:
    """Stretch each cloud along each axis and move it, as few-shot training does; `generator` lives on the CPU."""
    low, high = STRETCH
    stretch, shift = torch.rand((2, len(points), 1, 3), generator=generator).to(points)
    return points * (low + (high - low) * stretch) + SHIFT * (2 * shift - 1)


def weight_combinations(views: int, grid: Sequence[float] = WEIGHT_GRID) -> Float[np.ndarray, "W V"]:
    """Return every combination of view weights, the last view changing fastest."""
    places = np.indices((len(grid),) * views, dtype=np.uint8).reshape(views, -1).T
    return np.asarray(grid, np.float32)[places]


def count_right(
    cosines: Float[np.ndarray, "B V K"], labels: Int[np.ndarray, " B"], weights: Float[np.ndarray, "W V"]
) -> Int[np.ndarray, " W"]:
    """Return how many clouds each combination of view weights names rightly."""
    clouds, views, classes = cosines.shape
    by_view = np.moveaxis(cosines, 1, 0).reshape(views, -1)
    rows = max(1, SEARCH_ELEMENTS // max(1, clouds * classes))
    right = [
        ((weights[i : i + rows] @ by_view).reshape(-1, clouds, classes).argmax(2) == labels).sum(1)
        for i in range(0, len(weights), rows)
    ]
    return np.concatenate(right)


def search_view_weights(
    cosines: Float[np.ndarray, "B V K"], labels: Int[np.ndarray, " B"], *, grid: Sequence[float] = WEIGHT_GRID
) -> tuple[Float[np.ndarray, " V"], float]:
    """Return the weights that name most clouds rightly, the first of equals, and their accuracy on these clouds.

    That accuracy flatters: report another split's. Raises ValueError for no clouds or labels outside the classes.
    """
    if not len(labels) or labels.min() < 0 or labels.max() >= cosines.shape[2]:
        raise ValueError(f"wanted a label from 0 to {cosines.shape[2] - 1} for at least one cloud, got {labels}")
    weights = weight_combinations(cosines.shape[1], grid)
    right = count_right(cosines, labels, weights)
    best = int(right.argmax())
    return weights[best], float(right[best] / len(labels))
