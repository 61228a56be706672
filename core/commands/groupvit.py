"""Pictures labelled pixel by pixel with the user's words by GroupViT: as LSeg's command, the licence first."""

import argparse
from collections.abc import Iterator
from typing import Any

from core import registry
from core.commands import lseg
from core.commands.clip import remark
from core.commands.lseg import lines, write

__all__ = ["answers", "lines", "write"]


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield each word's share of each picture, after saying under which licence the weights may be used."""
    card = registry.weights_card(arguments.system, arguments.weights)
    remark(f"The licence of {card.name}: ", (card.licence,))
    yield from lseg.answers(arguments, failed)
