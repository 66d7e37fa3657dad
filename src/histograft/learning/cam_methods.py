"""The kinds of class activation maps: the classes of ``pytorch_grad_cam``, corrected."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Method = Literal[
    "grad-cam",
    "grad-cam++",
    "xgrad-cam",
    "hires-cam",
    "layer-cam",
    "elementwise-cam",
    "eigen-cam",
    "eigen-grad-cam",
]
METHODS: tuple[Method, ...] = get_args(Method)

_CLASSES = {
    "grad-cam": "GradCAM",
    "grad-cam++": "GradCAMPlusPlus",
    "xgrad-cam": "XGradCAM",
    "hires-cam": "HiResCAM",
    "layer-cam": "LayerCAM",
    "elementwise-cam": "GradCAMElementWise",
    "eigen-cam": "EigenCAM",
    "eigen-grad-cam": "EigenGradCAM",
}


@cache
def cam_class(method: Method) -> type[Any]:
    """Return the package's class with signs fixed and scales kept away from its small constants.

    Parameters
    ----------
    method : str
        One of `METHODS`.

    Returns
    -------
    type
        Called as those of ``pytorch_grad_cam``; Grad-CAM++ has weights of our own, see
        `histograft.learning.cam.class_maps`.

    Examples
    --------
    >>> cam_class("layer-cam").__mro__[1].__name__
    'LayerCAM'
    """
    import pytorch_grad_cam

    package_class: Any = getattr(pytorch_grad_cam, _CLASSES[method])
    always_component = method.startswith("eigen")

    class Signed(package_class):  # type: ignore[misc]
        def get_cam_image(self, *args: Any) -> NDArray[np.float32]:
            *given, activations, gradients, eigen_smooth = args
            image = super().get_cam_image(*given, activations, gradients, eigen_smooth)
            if always_component:
                product = activations if method == "eigen-cam" else gradients * activations
                image = _with_sign_of(image, product.sum(axis=1))
            elif eigen_smooth:
                plain = super().get_cam_image(*given, activations, gradients, eigen_smooth=False)
                image = _with_sign_of(image, plain)
            return _to_unit(image)

    if method == "grad-cam++":
        Signed.get_cam_weights = _plus_plus_weights
    return Signed


def _plus_plus_weights(
    self: object,
    images: Tensor,
    layer: nn.Module,
    targets: object,
    activations: NDArray[np.float32],
    gradients: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Weights of channels after equation 19 of the Grad-CAM++ paper, (N, C)."""
    del self, images, layer, targets
    positive = np.maximum(gradients.astype(np.float64), 0)
    total = activations.sum(axis=(2, 3), keepdims=True, dtype=np.float64)
    # The derivation takes A ≥ 0. Where a layer has none, α would have a pole: no channel whose
    # sum is negative gets more than α of an empty one.
    alpha = 1 / (2 + positive * np.maximum(total, 0))
    weights: NDArray[np.float32] = (alpha * positive).sum(axis=(2, 3)).astype(np.float32)
    return weights


def _with_sign_of(maps: NDArray[Any], unsmoothed: NDArray[Any]) -> NDArray[Any]:
    """Turn maps (N, h, w) over where they run against the unsmoothed ones."""
    centered = unsmoothed - unsmoothed.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    against = (maps * centered).sum(axis=(1, 2)) < 0  # sign of the covariance
    return np.where(against[:, None, None], -maps, maps)


def _to_unit(maps: NDArray[Any]) -> NDArray[np.float32]:
    """Divide each map by its largest size: the package later adds 1e-7 to what it divides by."""
    largest = np.abs(maps).max(axis=(1, 2), keepdims=True)
    return np.asarray(maps / np.where(largest > 0, largest, 1), dtype=np.float32)
