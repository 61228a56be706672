"""What the answers check about their arrays."""

import numpy as np


def require(array: np.ndarray, name: str, dtype: type, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `array` has this dtype and shape; None in `shape` fits any length."""
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != np.dtype(dtype):
        raise ValueError(f"wanted {name} as {np.dtype(dtype).name} {shape}, got {array.dtype.name} {array.shape}")
