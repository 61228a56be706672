"""Going on from other weights: tables of places are stretched, everything else must fit."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from core import checkpoints
from core.train.starting import go_on_from, stretched


class Grid(nn.Module):
    def __init__(self, side: int, width: int = 4) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(1, side, side, width))
        self.relative = nn.Parameter(torch.zeros(2 * side - 1, width))
        self.flat = nn.Parameter(torch.zeros(1, 1 + side * side, width))
        self.matrix = nn.Linear(width, width)


@pytest.fixture
def saved(tmp_path, monkeypatch):
    tensors = {key: torch.randn_like(value) for key, value in Grid(3).state_dict().items()}
    path = tmp_path / "grid.safetensors"
    save_file(tensors, path)
    monkeypatch.setattr(checkpoints, "resolve", lambda system, name: name)
    monkeypatch.setattr(checkpoints, "fetch", lambda name: path)
    return tensors


def test_equal_sizes_are_taken_over_unchanged(saved):
    model = Grid(3)
    go_on_from(model, "any", "grid")
    assert all(value.equal(saved[key]) for key, value in model.state_dict().items())


def test_places_are_stretched_and_the_rest_is_taken_over(saved):
    model = Grid(6)
    go_on_from(model, "any", "grid")
    assert model.matrix.weight.equal(saved["matrix.weight"])
    assert model.flat[0, 0].equal(saved["flat"][0, 0])
    assert model.relative[[0, 10]].equal(saved["relative"][[0, 4]])
    assert float(model.places.detach().std()) > 0


def test_a_constant_table_stays_constant():
    for shape, wanted in (((1, 3, 3, 2), (1, 5, 5, 2)), ((5, 2), (9, 2)), ((1, 10, 2), (1, 26, 2))):
        found = stretched(torch.full(shape, 0.5), torch.Size(wanted))
        assert found.shape == wanted
        assert torch.allclose(found, torch.tensor(0.5))


def test_what_stays_apart_is_not_asked_for(saved):
    model = Grid(3)
    model.extra = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="grid has no extra"):
        go_on_from(model, "any", "grid")
    before = model.extra.weight.clone()
    go_on_from(model, "any", "grid", apart="extra.")
    assert model.extra.weight.equal(before)


def test_other_sizes_are_refused(saved):
    with pytest.raises(ValueError, match="differs in"):
        go_on_from(Grid(3, width=8), "any", "grid")
