"""Batches of images: their order, cache and prefetch.

The order is a pure function of (seed, epoch), as augmentation is of (seed, epoch, index), so a
resumed run sees the same batches, and neither the number of threads nor the cache can change them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histograft.core.errors import InputError
from histograft.core.seeds import generator

_AHEAD = 2  # batches that are prepared while one is computed


class ImageSource(Protocol):
    """Images by number."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return image `index`, uint8 (H, W, 3); it must be the same at every call."""
        ...


def epoch_order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order in which an epoch visits n images.

    Examples
    --------
    >>> sorted(epoch_order(5, seed=0, epoch=1).tolist())
    [0, 1, 2, 3, 4]
    """
    return generator(seed, "order", epoch).permutation(n)


def batch_bounds(n: int, batch_size: int) -> list[tuple[int, int]]:
    """Cut 0 … n into batches.

    A last batch of a single image joins the batch before it: BatchNorm cannot learn from one
    value, and to leave an image out would make results depend on the order.

    Examples
    --------
    >>> batch_bounds(10, 4), batch_bounds(9, 4)
    ([(0, 4), (4, 8), (8, 10)], [(0, 4), (4, 9)])
    """
    starts = list(range(0, n, batch_size))
    if batch_size > 1 and len(starts) > 1 and n - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], n], strict=True))


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return ``(images / 255 - mean) / std`` as float32, channels last in memory.

    Parameters
    ----------
    images : Tensor, uint8 (N, 3, H, W)
        On any device.
    mean, std : sequence of 3 floats
        On the scale 0 … 1.

    Examples
    --------
    >>> white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    >>> normalize(white, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """
    shape = (1, 3, 1, 1)
    scale = 255.0 * torch.tensor(std, dtype=torch.float64).reshape(shape)
    shift = 255.0 * torch.tensor(mean, dtype=torch.float64).reshape(shape)
    images = images.to(torch.float32, memory_format=torch.channels_last)
    shift, scale = (t.to(images.device, torch.float32) for t in (shift, scale))
    return images.sub_(shift).div_(scale)


class ImageBatches:
    """Images of a source as uint8 tensors, decoded once where they fit into memory.

    Parameters
    ----------
    source : ImageSource
        All its images have the same size.
    cache_bytes : int
        If all images fit into so many bytes, each is decoded once and kept as uint8.
    threads : int
        Threads that decode images.

    Raises
    ------
    InputError
        The source is empty, or an image is not uint8 (H, W, 3) or of another size.
    """

    def __init__(self, source: ImageSource, cache_bytes: int, threads: int = 2) -> None:
        if len(source) == 0:
            raise InputError("there is no image to learn from", "give at least one")
        self.source = source
        self.threads = threads
        first = source.image(0)
        self._check(first, 0, first.shape)
        self.shape: tuple[int, ...] = first.shape
        self.fits = len(source) * first.nbytes <= cache_bytes
        self._kept: list[NDArray[np.uint8] | None] = [None] * (len(source) if self.fits else 0)

    def __len__(self) -> int:
        return len(self.source)

    def get(self, index: int) -> NDArray[np.uint8]:
        """Return one image, from memory if it was decoded before."""
        if self.fits and (kept := self._kept[index]) is not None:
            return kept
        image = self.source.image(index)
        self._check(image, index, self.shape)
        if self.fits:
            self._kept[index] = np.array(image, order="C")
        return image

    @staticmethod
    def _check(image: NDArray[np.uint8], index: int, shape: tuple[int, ...]) -> None:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(
                f"image {index} is {image.dtype} {image.shape}, not uint8 (H, W, 3)",
                "give color images of 8 bits",
            )
        if image.shape != shape:
            raise InputError(
                f"image {index} has {image.shape[1]} × {image.shape[0]} px, the first one has "
                f"{shape[1]} × {shape[0]} px",
                "bring all images to one size first (histograft standardize)",
            )

    def stream(
        self,
        order: Sequence[int] | NDArray[np.int64],
        bounds: Sequence[tuple[int, int]],
        change: Callable[[Tensor, Sequence[int]], Tensor] = lambda images, _: images,
    ) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Yield batches that other threads prepare while the caller computes.

        Parameters
        ----------
        order : sequence of int
            Image numbers in the order of the visit.
        bounds : sequence of (start, stop)
            Batches, as positions in `order`.
        change : callable, optional
            Applied to (images, image numbers) of each batch, in the preparing thread.

        Yields
        ------
        indices : int array (B,)
            Image numbers.
        images : Tensor, uint8 (B, 3, H, W)
            Channels last in memory.
        """
        order = np.asarray(order, dtype=np.int64)

        def prepare(start: int, stop: int) -> tuple[NDArray[np.int64], Tensor]:
            indices = order[start:stop]
            stacked = np.stack(list(decoders.map(self.get, indices.tolist())))
            return indices, change(torch.from_numpy(stacked).permute(0, 3, 1, 2), indices.tolist())

        with ThreadPoolExecutor(self.threads) as decoders, ThreadPoolExecutor(1) as ahead:
            waiting: list[Future[tuple[NDArray[np.int64], Tensor]]] = []
            rest = iter(bounds)
            try:
                for start, stop in rest:
                    waiting.append(ahead.submit(prepare, start, stop))
                    if len(waiting) > _AHEAD:
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()
            finally:
                for future in waiting:
                    future.cancel()
