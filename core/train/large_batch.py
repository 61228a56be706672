"""GradCache: a contrastive batch that is too large for the memory, encoded in pieces.

Paper: Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, RepL4NLP,
https://arxiv.org/abs/2101.06983. The features of all pieces are computed without a graph, the loss is taken over them
together, and each piece is encoded once more to carry its features' gradients on. That equals one large batch where a
sample's features depend on it alone: in a ViT they do, in a ResNet the batch statistics are those of a piece.

Legend: B pairs, D embedding size.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.train.machines import Machines

Encode = Callable[[slice], tuple[Tensor, ...]]  # rows of the batch to their features, (B, D) each
Objective = Callable[..., Tensor]  # the features of the whole batch to its loss


def cached_backward(
    model: nn.Module,
    encode: Encode,
    objective: Objective,
    rows: slice,
    chunk: int,
    machines: Machines,
    parts: int = 1,
) -> Tensor:
    """Add the gradients of a batch whose `rows` are this process's, encoded `chunk` at a time; return the loss.

    The gradients are those of one of `parts` batches whose mean is a step.
    """
    pieces = [slice(start, min(start + chunk, rows.stop)) for start in range(rows.start, rows.stop, chunk)]
    with torch.no_grad(), statistics_kept(model):
        encoded = [encode(piece) for piece in pieces]
    leaves = [torch.cat(each).requires_grad_() for each in zip(*encoded, strict=True)]
    loss = objective(*(machines.gather(leaf) for leaf in leaves))
    machines.backward(loss / parts)
    for piece in pieces:
        inside = slice(piece.start - rows.start, piece.stop - rows.start)
        torch.autograd.backward(encode(piece), [leaf.grad[inside] for leaf in leaves])
    return loss.detach()


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Let batch normalisations compute as they do, but remember nothing of it."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
