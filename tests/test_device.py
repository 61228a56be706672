"""The device: the best there is, or the one asked for, with the reason in words."""

import pytest
import torch

from core import device
from core.device import choose


@pytest.fixture
def machine(monkeypatch):
    """Return a function that makes this machine look as if it had these devices."""
    monkeypatch.delenv(device.VARIABLE, raising=False)

    def have(*, cuda: bool = False, mps: bool = False, bfloat16: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        # Cards without it emulate it, slowly: only the answer without emulation counts.
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or bfloat16
        )

    return have


@pytest.mark.parametrize(
    ("cuda", "mps", "name"),
    [(False, False, "cpu"), (True, False, "cuda"), (False, True, "mps"), (True, True, "cuda")],
)
def test_the_best_device_is_chosen_and_the_reason_names_it(machine, cuda, mps, name):
    machine(cuda=cuda, mps=mps)
    found = choose()
    assert found.name == name
    assert found.reason.startswith(f"{name}, because ")
    assert found.torch_device() == torch.device(name)


def test_the_environment_and_the_argument_are_obeyed(machine, monkeypatch):
    machine(cuda=True)
    monkeypatch.setenv(device.VARIABLE, "cpu")
    assert choose().name == "cpu"
    assert "asked for" in choose().reason
    assert choose("cuda").name == "cuda"


@pytest.mark.parametrize("wanted", ["cuda", "mps", "tpu"])
def test_a_device_that_is_not_there_is_refused_with_what_there_is(machine, wanted):
    machine()
    with pytest.raises(ValueError, match=f"'{wanted}' is not there; this machine has: cpu"):
        choose(wanted)


@pytest.mark.parametrize(("bfloat16", "dtype"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_multiplies_in_the_half_precision_that_it_has(machine, bfloat16, dtype):
    machine(cuda=True, bfloat16=bfloat16)
    assert choose().autocast_dtype == dtype


def test_a_cpu_computes_in_float32(machine):
    machine()
    with choose().autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_memory_is_told_in_words(machine):
    machine()
    assert choose().memory() == "cpu: memory is shared with the computer"


@pytest.mark.gpu
def test_a_gpu_is_used_and_tells_its_memory():
    found = choose("cuda")
    assert "GiB in use" in found.memory()
    with found.autocast():
        product = torch.ones(2, 2, device=found.torch_device()) @ torch.ones(2, 2, device=found.torch_device())
    assert product.dtype == getattr(torch, found.autocast_dtype)
