"""Which packets of a video need no decoding for the frames that are wanted.

A frame is predicted from frames that stand before it in the file, back to the last key frame and no further. So what
lies between the last wanted frame before a key frame and that key frame can be left out, and so can what follows the
last wanted frame of all: those that come are the same to the bit. Left alone are files in which that cannot be known
from the packets: where frames that stand behind a key frame are shown before it (an open group), and H.264 whose key
frames are not such that a decoder forgets all that was before (IDR).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av import Packet
    from av.video.codeccontext import VideoCodecContext

ENTRIES = frozenset(("hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg"))  # key: all forgotten
IDR = 5  # nal_unit_type, ITU-T H.264 Table 7-1
NAL_TYPE = 0x1F  # its bits


@dataclass(frozen=True, kw_only=True, eq=False)
class Times:
    """When every frame is shown, as the packets say, in order of time; which are wanted, and which packets are not."""

    pts: list[int]
    seconds: list[float]
    order: list[int] = field(default_factory=list)  # pts as the packets come
    entries: list[int] = field(default_factory=list)  # places in `order` where a decoder may begin, if all are known
    wanted: frozenset[int] = frozenset()
    passed: frozenset[int] = frozenset()

    @property
    def end_seconds(self) -> float:
        """When the last frame of several goes, if it stands as long as the one before."""
        return 2 * self.seconds[-1] - self.seconds[-2]

    def wanting(self, places: Sequence[int]) -> "Times":
        """Return the times with the frames at these places wanted, and the packets that those do without passed."""
        wanted = frozenset(self.pts[place] for place in places if place < len(self.pts))
        return Times(
            pts=self.pts,
            seconds=self.seconds,
            order=self.order,
            entries=self.entries,
            wanted=wanted,
            passed=_passed(self.order, self.entries, wanted),
        )


def is_entry(packet: "Packet", codec: "VideoCodecContext") -> bool:
    """Say whether a decoder that begins at this packet lacks nothing that comes later."""
    if not packet.is_keyframe:
        return False
    return codec.name in ENTRIES or (codec.name == "h264" and IDR in _nal_types(bytes(packet), codec.extradata or b""))


def _passed(order: Sequence[int], entries: Sequence[int], wanted: frozenset[int]) -> frozenset[int]:
    """Return the packets, by pts, that no wanted frame depends on."""
    closed = all(min(order[first:end]) == order[first] for first, end in pairwise([*entries, len(order)]))
    starts = {0, *entries} if closed else {0}
    found: list[int] = []
    for first, end in pairwise([*sorted(starts), len(order)]):
        needed = [place for place in range(first, end) if order[place] in wanted]
        found += order[needed[-1] + 1 if needed else first : end]
    return frozenset(found)


def _nal_types(data: bytes, extradata: bytes) -> set[int]:
    """Return the kinds of the units in an H.264 packet, with lengths before them (MP4) or start codes (the others)."""
    if extradata[:1] != b"\x01":
        return {part[0] & NAL_TYPE for part in data.split(b"\x00\x00\x01")[1:] if part}
    width, place, found = (extradata[4] & 3) + 1, 0, set()
    while place + width < len(data):
        found.add(data[place + width] & NAL_TYPE)
        place += width + int.from_bytes(data[place : place + width])
    return found
