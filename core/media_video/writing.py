"""Films to files that every browser plays: VP9 in WebM, with the film's own times."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np

from core.results import Film

TICKS = 1000  # a second, as WebM counts
OPTIONS = {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}  # quality before size
LAST_SECONDS = 0.125  # that a single frame is shown


def write_webm(film: Film, path: str | Path) -> Path:
    """Write a film; a file half written never bears the name."""
    import av

    target = Path(path)
    if not len(film.frames):
        raise ValueError("wanted at least one frame, got none")
    part = target.with_name(f".{target.stem}.part.webm")
    height, width = film.frames.shape[1:3]
    ticks = np.round((film.seconds - film.seconds[0]) * TICKS).astype(int)
    rate = Fraction(1 / float(np.diff(film.seconds).mean() if len(ticks) > 1 else LAST_SECONDS)).limit_denominator(1001)
    with av.open(str(part), "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=rate, options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        for picture, tick in zip(film.frames, ticks, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = int(tick), Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    os.replace(part, target)
    return target
