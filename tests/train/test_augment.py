"""Augmentation keeps what a caption speaks of."""

import torch

from core.train.augment import MEAN, STD, augment, normalise


def white_left_half(count: int) -> torch.Tensor:
    pictures = torch.zeros(count, 32, 32, 3, dtype=torch.uint8)
    pictures[:, :, :16] = 255
    return pictures


def test_pictures_come_out_at_the_asked_size():
    out = augment(
        white_left_half(3),
        torch.zeros(3, dtype=torch.bool),
        size=48,
        least_zoom=0.8,
        generator=torch.Generator().manual_seed(0),
    )
    assert out.shape == (3, 3, 48, 48)


def test_what_must_not_be_mirrored_is_not():
    out = augment(
        white_left_half(40),
        torch.zeros(40, dtype=torch.bool),
        size=32,
        least_zoom=0.8,
        generator=torch.Generator().manual_seed(0),
    )
    left, right = out[..., :8].mean((1, 2, 3)), out[..., -8:].mean((1, 2, 3))
    assert (left > right).all()


def test_about_half_of_what_may_be_mirrored_is():
    out = augment(
        white_left_half(200),
        torch.ones(200, dtype=torch.bool),
        size=32,
        least_zoom=0.8,
        generator=torch.Generator().manual_seed(0),
    )
    mirrored = (out[..., :8].mean((1, 2, 3)) < out[..., -8:].mean((1, 2, 3))).float().mean()
    assert 0.35 < mirrored < 0.65


def test_the_same_generator_gives_the_same_batch():
    first, second = (
        augment(
            white_left_half(4),
            torch.ones(4, dtype=torch.bool),
            size=32,
            least_zoom=0.7,
            generator=torch.Generator().manual_seed(5),
        )
        for _ in range(2)
    )
    assert torch.equal(first, second)


def test_normalise_puts_the_mean_at_zero():
    mean = torch.tensor(MEAN)[None, :, None, None].expand(1, 3, 2, 2)
    assert torch.allclose(normalise(mean), torch.zeros(1, 3, 2, 2))
    assert torch.allclose(normalise(mean + torch.tensor(STD)[:, None, None]), torch.ones(1, 3, 2, 2), atol=1e-5)
