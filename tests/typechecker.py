"""The checker that jaxtyping's import hook runs on every annotated function of core and demos while tests run.

It takes NumPy's own numbers, and an int where a float is annotated (PEP 484): what is checked is what would go wrong.
"""

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

NUMBERS = FrozenDict({int: int | np.integer, float: float | int | np.floating | np.integer})

checked = beartype(conf=BeartypeConf(hint_overrides=NUMBERS))
