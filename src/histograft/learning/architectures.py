"""Part A of a network: a timm model without its classifier, and nothing else.

Every part of histograft that needs a timm model asks here, so the keyword arguments that timm
lacks (``tf_same``, ``bn_eps`` and ``norm_groups``) are handled in this one place, and the one
architecture of our own (``dipalma_resnet10``) is known to timm.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import partial
from typing import Any

import timm
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm import GroupNorm
from timm.layers.pool2d_same import MaxPool2dSame
from torch import nn

from histograft.core.errors import InputError
from histograft.learning import dipalma_resnet

OWN_KWARGS = ("tf_same", "bn_eps", "norm_groups")  # arguments that timm does not know


def create_part_a(architecture: str, kwargs: Mapping[str, Any] | None = None) -> nn.Module:
    """Build a timm model that ends in its pooled features.

    Parameters
    ----------
    architecture : str
        A timm name, such as ``"mobilenetv2_100"``.
    kwargs : mapping, optional
        Keyword arguments for `timm.create_model`. Two more work for every architecture:
        ``tf_same`` (bool) pads like TensorFlow, see `tf_same`; ``bn_eps`` (float) sets ε of each
        BatchNorm layer, also where timm's own constructor does not know it. ``norm_groups`` (int)
        puts GroupNorm with so many groups in place of BatchNorm, for architectures whose
        constructor takes a normalization layer, such as timm's ResNets.

    Returns
    -------
    torch.nn.Module
        Weights are drawn by timm from torch's global generator. Images (N, 3, H, W) in, pooled
        features (N, D) out.

    Raises
    ------
    InputError
        timm does not know the architecture, or not with these keyword arguments.

    Examples
    --------
    >>> model = create_part_a("legacy_xception", {"tf_same": True, "bn_eps": 1e-3})
    >>> model.bn1.eps, type(model.block1.rep[-1]).__name__
    (0.001, 'MaxPool2dSame')
    """
    plain = dict(kwargs or {})
    same = plain.pop("tf_same", False)
    bn_eps = plain.pop("bn_eps", None)
    if "norm_groups" in plain and architecture != dipalma_resnet.dipalma_resnet10.__name__:
        plain["norm_layer"] = partial(GroupNorm, num_groups=plain.pop("norm_groups"))
    if "num_classes" in plain or "pretrained" in plain:
        raise InputError(
            f"the keyword arguments {plain} of {architecture!r} set num_classes or pretrained",
            "leave both out: Part A has no classifier, and weights are loaded separately",
        )
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=4)
        raise InputError(
            f"timm {timm.__version__} has no architecture {architecture!r}",
            "use a name of timm.list_models()" + (f", such as {', '.join(close)}" if close else ""),
        )
    try:
        model = timm.create_model(architecture, pretrained=False, num_classes=0, **plain)
    except (TypeError, ValueError, KeyError, AssertionError, AttributeError) as error:
        raise InputError(
            f"timm cannot build {architecture!r} with the keyword arguments {dict(kwargs or {})}: "
            f"{error}",
            "give keyword arguments that timm.create_model accepts for this architecture",
        ) from error
    if bn_eps is not None:
        set_bn_eps(model, float(bn_eps))
    if same:
        tf_same(model)
    return model


def set_bn_eps(model: nn.Module, bn_eps: float) -> None:
    """Set ε of every BatchNorm layer, in place.

    Examples
    --------
    >>> layers = nn.Sequential(nn.BatchNorm2d(3))
    >>> set_bn_eps(layers, 1e-3)
    >>> layers[0].eps
    0.001
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eps = bn_eps


def tf_same(model: nn.Module) -> nn.Module:
    """Turn symmetric padding at stride above 1 into TensorFlow's "SAME", in place.

    TensorFlow pads ``max((ceil(n / s) - 1) * s + k - n, 0)`` pixels for size n, stride s and
    kernel k, the smaller half before and the larger after. At stride 1 with an odd kernel this is
    PyTorch's symmetric padding; at stride 2 and even n it puts all padding after, so a symmetric
    network sees the image shifted by a pixel. Convolutions without padding ("VALID") stay.

    Parameters
    ----------
    model : torch.nn.Module
        A network whose convolutions and max-pools with stride above 1 are padded by
        ``kernel // 2``.

    Returns
    -------
    torch.nn.Module
        The same object; names and shapes of its tensors are unchanged.

    Examples
    --------
    >>> import torch
    >>> pool = nn.Sequential(nn.MaxPool2d(3, 2, 1))
    >>> row = torch.tensor([[[[3.0, 2.0, 1.0, 0.0]]]]).expand(1, 1, 4, 4)
    >>> pool(row)[0, 0, 0].tolist(), tf_same(pool)(row)[0, 0, 0].tolist()
    ([3.0, 2.0], [3.0, 1.0])
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv2dSame | MaxPool2dSame):
                continue
            if isinstance(child, nn.Conv2d) and _is_half_padded(child):
                setattr(parent, name, _same_conv(child))
            elif isinstance(child, nn.MaxPool2d) and _is_half_padded(child):
                setattr(parent, name, MaxPool2dSame(child.kernel_size, child.stride))
    return model


def _is_half_padded(layer: nn.Conv2d | nn.MaxPool2d) -> bool:
    kernel, stride, padding = (
        _pair(value) for value in (layer.kernel_size, layer.stride, layer.padding)
    )
    if max(stride) == 1 or max(kernel) == 1 or not all(isinstance(p, int) for p in padding):
        return False
    return padding == tuple(k // 2 for k in kernel)


def _pair(value: Any) -> tuple[Any, Any]:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def _same_conv(conv: nn.Conv2d) -> Conv2dSame:
    same = Conv2dSame(
        conv.in_channels,
        conv.out_channels,
        _pair(conv.kernel_size),
        stride=_pair(conv.stride),
        dilation=_pair(conv.dilation),
        groups=conv.groups,
        bias=conv.bias is not None,
        device="meta",  # draws no random numbers for weights that are replaced at once
    )
    same.weight, same.bias = conv.weight, conv.bias
    return same
