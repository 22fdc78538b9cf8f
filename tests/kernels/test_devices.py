"""What is done to pictures on a GPU is what is done to them on the CPU."""

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import kernels
from tests.kernels.pictures import noise

Made = tuple[Tensor, ...]


def scores(pictures: Tensor) -> Made:
    found = kernels.score_frames(pictures)
    return tuple(getattr(found, each.name) for each in fields(found))


DONE: dict[str, Callable[[Tensor, Tensor], Made]] = {
    "orient": lambda rgb, _: (kernels.orient(rgb, 6),),
    "tile": lambda rgb, _: (kernels.tile(rgb, columns=2, color=(1, 2, 3)),),
    "pad": lambda rgb, _: (kernels.pad(rgb, left=2, top=1, height=40, width=40, color=(1, 2, 3)),),
    "flatten_alpha": lambda _, rgba: (kernels.flatten_alpha(rgba, color=(1, 2, 3)),),
    "is_opaque": lambda _, rgba: (torch.tensor(kernels.is_opaque(rgba)),),
    "score_frames": lambda rgb, _: scores(rgb),
    "saliency": lambda rgb, _: (kernels.saliency(rgb),),
    "salient_box": lambda rgb, _: (
        torch.tensor(kernels.salient_box(kernels.saliency(rgb)[0], height=7, width=9)),
    ),
    "tone_map": lambda rgb, _: (
        kernels.tone_map(rgb, light=kernels.Light("pq", "bt2020", 1000.0)),
    ),
}

READS_VALUES = {"is_opaque", "salient_box", "tone_map"}


@pytest.mark.needs_cuda
@pytest.mark.parametrize("name", DONE)
def test_it_is_as_on_the_cpu(name: str) -> None:
    rgb, rgba = noise(3, 31, 23, 3), noise(3, 31, 23, 4)
    wanted = DONE[name](rgb, rgba)
    found = DONE[name](rgb.cuda(), rgba.cuda())
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        off = (one.cpu().double() - other.double()).abs().max()
        assert off <= (1 if one.dtype == torch.uint8 else 1e-4)


@pytest.mark.parametrize("name", sorted(DONE.keys() - READS_VALUES))
def test_it_mixes_no_devices(name: str) -> None:
    """Without a GPU: torch follows where tensors would be, and refuses to mix them."""
    with FakeTensorMode():
        rgb, rgba = (
            torch.empty(3, 31, 23, channels, dtype=torch.uint8, device="cuda")
            for channels in (3, 4)
        )
        made = DONE[name](rgb, rgba)
        assert {part.device.type for part in made} == {"cuda"}
