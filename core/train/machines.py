"""Where a run computes: one process on a CPU, or as many as `accelerate launch` started, on GPUs or not.

Every process draws the whole batch of a step, encodes its share of it, and sees the loss of all of it: features are
gathered with their gradients, and the gradients of the weights are averaged. So the curve is that of one process.
Different from DistributedDataParallel: gradients are averaged once, after the backward pass, which GradCache and
accumulation need anyway.

Legend: B pairs of the whole batch, D embedding size.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.device import choose

PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class Machines:
    """The processes of a run, seen from one of them; without an accelerator there is this one alone, on the CPU."""

    accelerator: Any = None

    @property
    def count(self) -> int:
        """How many processes there are."""
        return self.accelerator.num_processes if self.accelerator else 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes the run's folder."""
        return self.accelerator is None or self.accelerator.is_main_process

    @property
    def device(self) -> torch.device:
        """Where the network of this process is."""
        return self.accelerator.device if self.accelerator else torch.device("cpu")

    @property
    def scaler(self) -> Any:
        """What keeps half-precision gradients from vanishing, or None where nothing need be kept."""
        return getattr(self.accelerator, "scaler", None)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which the precision that was asked for is used."""
        return self.accelerator.autocast() if self.accelerator else nullcontext()

    def share(self, batch: int) -> slice:
        """Return this process's rows of a batch; ValueError where they cannot be dealt out evenly."""
        if batch % self.count:
            raise ValueError(f"A batch of {batch} cannot be shared evenly by {self.count} processes.")
        rows = batch // self.count
        first = rows * (self.accelerator.process_index if self.accelerator else 0)
        return slice(first, first + rows)

    def gather(self, features: Float[Tensor, "_ D"]) -> Float[Tensor, "B D"]:
        """Return the features of all processes in order, through which gradients flow back to their owners."""
        return _Gathered.apply(features, self) if self.count > 1 else features

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def average(self, model: nn.Module) -> None:
        """Make the gradients of all processes the same: their mean, sent in one piece."""
        if self.count == 1:
            return
        trained = [p for p in model.parameters() if p.requires_grad]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])
        flat = self.accelerator.reduce(flat, "mean")
        for parameter, part in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            parameter.grad = part.view_as(parameter)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimiser step along gradients that were unscaled."""
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()

    def any(self, flag: bool) -> bool:
        """Say whether a flag is up in any process, so that all of them do the same."""
        if self.count == 1:
            return flag
        return bool(self.accelerator.reduce(torch.tensor([float(flag)], device=self.device), "sum") > 0)

    def first(self, value: float) -> float:
        """Return the first process's number, so that all of them go by one clock."""
        if self.count == 1:
            return value
        own = torch.tensor([value if self.is_first else 0.0], device=self.device)
        return float(self.accelerator.reduce(own, "sum"))

    @contextmanager
    def one_by_one(self) -> Iterator[None]:
        """Let the first process go first, then the first of every other machine: what those draw, the others read."""
        with ExitStack() as turns:
            if self.accelerator:
                turns.enter_context(self.accelerator.main_process_first())
                turns.enter_context(self.accelerator.local_main_process_first())
            yield


class _Gathered(torch.autograd.Function):
    """All processes' features; each one's gradient is the sum of what every process's loss asks of it."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, machines: Machines) -> Tensor:
        ctx.machines, ctx.rows = machines, len(features)
        return machines.accelerator.gather(features.contiguous())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = ctx.machines.accelerator.reduce(gradient.contiguous(), "sum")
        return total[ctx.machines.share(len(total))], None


ALONE = Machines()


def launched() -> bool:
    """Say whether this process is one of several that a launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Say whether this process is the only one, or the first of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def machines(precision: str = "no") -> Machines:
    """Return the processes of this run; ValueError for a precision that this device does not have.

    accelerate is imported only where there are several processes, a GPU, or a precision to be mixed.
    """
    device = choose()
    if precision == "fp16" and device.name == "cpu":
        raise ValueError("fp16 needs a GPU: take bf16 on a CPU.")
    if not launched() and precision == "no" and device.name == "cpu":
        return ALONE
    from accelerate import Accelerator

    return Machines(accelerator=Accelerator(mixed_precision=precision, cpu=device.name == "cpu"))
