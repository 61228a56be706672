"""Found moments as text: rows for a spreadsheet, JSON, and WebVTT chapters that a player jumps between."""

import csv
import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.results import Moments, VideoMoments

COLUMNS = ("query", "video", "start_seconds", "end_seconds", "peak_seconds", "cosine", "x0", "y0", "x1", "y1")


def moments_csv(found: "Moments") -> str:
    """Return a row for each moment, the best video first."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for video in found.videos:
        for moment in video.moments:
            numbers = (moment.start_seconds, moment.end_seconds, moment.peak_seconds)
            sides = (f"{side:.0f}" for side in moment.box_xyxy)
            table.writerow(
                (found.query, video.name, *(f"{n:.3f}" for n in numbers), f"{moment.score:.4f}", *sides),
            )
    return text.getvalue()


def moments_values(found: "Moments") -> dict[str, Any]:
    """Return everything as plain values, for JSON."""
    return {
        "query": found.query,
        "kind": found.kind,
        "typical": found.typical,
        "spread": found.spread,
        "threshold": found.threshold,
        "stands_out": found.stands_out,
        "videos": [_video_values(video) for video in found.videos],
    }


def moments_json(found: "Moments") -> str:
    """Return everything as JSON."""
    return json.dumps(moments_values(found), ensure_ascii=False, indent=1)


def webvtt(video: "VideoMoments", title: str) -> str:
    """Return one video's moments as chapters in order of time; `title` is what each is called."""
    words = " ".join(title.replace("-->", "").split()) or "?"  # an arrow or an empty line would end the cue
    cues = []
    for number, moment in enumerate(sorted(video.moments, key=lambda each: each.start_seconds), start=1):
        times = f"{_clock(moment.start_seconds)} --> {_clock(moment.end_seconds)}"
        cues.append(f"{number}\n{times}\n{_safe(words)} ({moment.score:.3f})")
    return "\n\n".join(["WEBVTT", *cues]) + "\n"


def _video_values(video: "VideoMoments") -> dict[str, Any]:
    moments = [
        {
            "start_seconds": moment.start_seconds,
            "end_seconds": moment.end_seconds,
            "peak_seconds": moment.peak_seconds,
            "cosine": moment.score,
            "box_xyxy": list(moment.box_xyxy),
        }
        for moment in video.moments
    ]
    curve = [
        [round(float(x), 3), round(float(y), 5)] for x, y in zip(video.curve_seconds, video.curve_scores, strict=True)
    ]
    return {"video": video.name, "path": video.path, "seconds": video.seconds, "moments": moments, "curve": curve}


def _clock(seconds: float) -> str:
    """Return hours, minutes, seconds and thousandths as WebVTT writes them."""
    thousandths = round(max(0.0, seconds) * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def _safe(text: str) -> str:
    """Escape what WebVTT reads as a tag."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
