"""WiSE-FT: weights between those of the start and the tuned ones, which keep more of what the start could do.

Paper: Wortsman et al. 2022, Robust fine-tuning of zero-shot models, CVPR, https://arxiv.org/abs/2109.01903, Sec. 3.
"""

import copy
from collections.abc import Mapping

from open_clip.model import CLIP
from torch import Tensor

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def interpolated(model: CLIP, start: Mapping[str, Tensor], share: float) -> CLIP:
    """Return a copy whose weights lie at `share` of the way from the start to the tuned model, which stays as it is."""
    tuned = model.state_dict()
    between = copy.deepcopy(model)
    between.load_state_dict(
        {
            key: (1 - share) * start[key].to(value.device) + share * value if value.is_floating_point() else value
            for key, value in tuned.items()
        }
    )
    return between.eval()
