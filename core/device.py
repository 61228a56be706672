"""The place for devices: which one is used, in which number format, and the sentence that says why."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

VARIABLE = "CLIP_FAMILY_DEVICE"
KINDS = ("cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where models run. Weights stay float32; `autocast` lets a GPU multiply in half precision."""

    name: str  # cpu, cuda or mps
    autocast_dtype: str | None  # float16 or bfloat16, None for float32 throughout
    reason: str

    def torch_device(self) -> "torch.device":
        """Return the torch device."""
        import torch

        return torch.device(self.name)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which a GPU multiplies in half precision, and a CPU does nothing special."""
        import torch

        if self.autocast_dtype is None:
            return nullcontext()
        return torch.autocast(self.name, dtype=getattr(torch, self.autocast_dtype))

    def memory(self) -> str:
        """Say how much memory is in use, in one sentence."""
        import torch

        if self.name != "cuda":
            return f"{self.name}: memory is shared with the computer"
        free, total = torch.cuda.mem_get_info()
        return f"{torch.cuda.get_device_name()}: {(total - free) / 2**30:.1f} of {total / 2**30:.1f} GiB in use"


def choose(wanted: str | None = None) -> Device:
    """Return the device asked for by argument or environment, or else the best there is.

    Raises ValueError when the one asked for is unknown or absent.
    """
    import torch

    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    asked = wanted or os.environ.get(VARIABLE)
    if asked and not present.get(asked):
        have = ", ".join(name for name in KINDS if present[name])
        raise ValueError(f"The device {asked!r} is not there; this machine has: {have}.")
    name = asked or next(name for name in ("cuda", "mps", "cpu") if present[name])
    reason = "it was asked for" if asked else {"cuda": "a CUDA GPU is there"}.get(name, "no CUDA GPU is there")
    dtype = None
    if name == "cuda":  # float16 overflows where bfloat16 does not; older cards only emulate the latter, slowly
        dtype = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return Device(name=name, autocast_dtype=dtype, reason=f"{name}, because {reason}")
