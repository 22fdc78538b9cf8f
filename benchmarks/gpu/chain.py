"""The same resize by other means: a chain of eager torch operations, and DALI's operator."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

import kernels
from kernels.color import rgb_transform

# torch has no Lanczos: its sharpest filter stands in, which reads less.
_TORCH_MODES = {
    kernels.Filter.TRIANGLE: "bilinear",
    kernels.Filter.CATMULL_ROM: "bicubic",
    kernels.Filter.LANCZOS3: "bicubic",
}


class EagerChain:
    """NV12 of one size to RGB at full size, then `interpolate(antialias=True)`."""

    def __init__(self, items: Sequence[kernels.Item]) -> None:
        first = items[0]
        assert first.color is not None
        self._luma = torch.stack([item.planes[0] for item in items])
        self._chroma = torch.stack([item.planes[1] for item in items])
        matrix, offset = rgb_transform(first.color)
        self._matrix = matrix.to(first.device, torch.float32)
        self._offset = offset.to(first.device, torch.float32)
        self._size = (first.resize.height, first.resize.width)
        self._mode = _TORCH_MODES[first.resize.filter]

    def __call__(self) -> Tensor:
        """The pictures, uint8 [N, 3, height, width]."""
        small = interpolate(self.full().clamp_(0, 255), self._size, mode=self._mode, antialias=True)
        return small.round_().clamp_(0, 255).to(torch.uint8)

    def full(self) -> Tensor:
        """The pictures at full size, float32 [N, 3, H, W]."""
        luma = self._luma[:, None].float()
        chroma = self._chroma.permute(0, 3, 1, 2).float()
        chroma = interpolate(chroma, luma.shape[2:], mode="bilinear")
        mixed = torch.einsum("rc,nchw->nrhw", self._matrix, torch.cat([luma, chroma], 1))
        return mixed + self._offset[:, None, None]


class DaliResize:
    """DALI's `fn.resize` with antialiasing, of RGB that is already there, which it copies.

    Raises ImportError where DALI is missing. Unverified on a GPU.
    """

    def __init__(self, items: Sequence[kernels.Item]) -> None:
        # DALI's modules are filled at run time, past what types can tell.
        dali: Any = import_module("nvidia.dali")
        fn, types = import_module("nvidia.dali.fn"), dali.types
        kinds = {
            kernels.Filter.TRIANGLE: types.INTERP_TRIANGULAR,
            kernels.Filter.CATMULL_ROM: types.INTERP_CUBIC,
            kernels.Filter.LANCZOS3: types.INTERP_LANCZOS3,
        }
        first, is_cuda = items[0].resize, items[0].device.type == "cuda"
        full = EagerChain(items).full().permute(0, 2, 3, 1)
        full = full.clamp(0, 255).to(torch.uint8).contiguous()
        # DALI asks torch for its CUDA stream at the sight of a tensor, even of one in the host.
        self._pictures: list[Any] = list(full if is_cuda else full.numpy())

        def graph() -> Any:
            pictures = fn.external_source(
                name="pictures", device="gpu" if is_cuda else "cpu", layout="HWC"
            )
            return fn.resize(
                pictures,
                resize_y=first.height,
                resize_x=first.width,
                interp_type=kinds[first.filter],
                antialias=True,
            )

        define = dali.pipeline_def(
            batch_size=len(items),
            num_threads=2,
            device_id=0 if is_cuda else None,
            prefetch_queue_depth=1,
        )
        self._pipeline: Any = define(graph)()
        self._pipeline.build()

    def __call__(self) -> object:
        """One batch: DALI's list of pictures, uint8 [height, width, 3]."""
        self._pipeline.feed_input("pictures", self._pictures)
        return self._pipeline.run()
