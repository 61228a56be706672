"""From scores over time to moments: the stretches of a video that fit a query.

Legend: T places on a curve over time.
"""

import numpy as np
from jaxtyping import Float

from core.results import Moment

GAP_SECONDS = 1.0  # between two stretches that are one moment


def moments_in(
    starts: Float[np.ndarray, " T"],
    ends: Float[np.ndarray, " T"],
    scores: Float[np.ndarray, " T"],
    boxes_xyxy: Float[np.ndarray, "T 4"],
    threshold: float,
    *,
    peaks: Float[np.ndarray, " T"] | None = None,
    gap_seconds: float = GAP_SECONDS,
) -> tuple[Moment, ...]:
    """Return the stretches that reach the threshold, best first; stretches that (nearly) touch are one.

    `peaks` are the seconds that stand for the places, by default their starts.
    """
    groups: list[list[int]] = []
    until = -np.inf
    for place in np.flatnonzero(scores >= threshold).tolist():
        if starts[place] > until + gap_seconds:
            groups.append([])
        groups[-1].append(place)
        until = max(until, float(ends[place]))
    found = []
    for group in groups:
        peak = max(group, key=lambda place: scores[place])
        found.append(
            Moment(
                start_seconds=float(starts[group[0]]),
                end_seconds=float(max(ends[place] for place in group)),
                peak_seconds=float((starts if peaks is None else peaks)[peak]),
                score=float(scores[peak]),
                box_xyxy=tuple(float(side) for side in boxes_xyxy[peak]),
            )
        )
    return tuple(sorted(found, key=lambda moment: -moment.score))
