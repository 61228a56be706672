"""The user's videos in and out: frames with true times, the papers' samplings, and WebM files.

PyAV decodes: its wheel brings FFmpeg along, tells every frame's own time and a phone's turn, and it is imported only
when a video is opened. No network is known here.
"""

from core.media_video.film import SAMPLINGS, read_film, replayed
from core.media_video.reading import (
    ENDINGS,
    LIMITS,
    Frame,
    VideoFacts,
    VideoLimits,
    frame_seconds,
    frame_spans,
    frames_at,
    iter_frames,
    video_facts,
)
from core.media_video.sampling import (
    ORDERS,
    grid_indices,
    head_indices,
    released_grid_indices,
    reorder,
    second_indices,
    tail_indices,
    tsn_segment_indices,
    uniform_indices,
)
from core.media_video.writing import write_webm

__all__ = [
    "ENDINGS",
    "LIMITS",
    "ORDERS",
    "SAMPLINGS",
    "Frame",
    "VideoFacts",
    "VideoLimits",
    "frame_seconds",
    "frame_spans",
    "frames_at",
    "grid_indices",
    "head_indices",
    "iter_frames",
    "read_film",
    "released_grid_indices",
    "reorder",
    "replayed",
    "second_indices",
    "tail_indices",
    "tsn_segment_indices",
    "uniform_indices",
    "video_facts",
    "write_webm",
]
