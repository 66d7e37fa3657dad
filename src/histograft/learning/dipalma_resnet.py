"""The network of resolution distillation: a narrow residual network with GroupNorm."""

from __future__ import annotations

from typing import Any

import torch
from timm.models import register_model
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

STRIDE_PX = 32


class _Block(nn.Module):
    """Two 3 × 3 convolutions with GroupNorm, and the input added before the last ReLU."""

    def __init__(self, n_in: int, n_out: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(groups, n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(groups, n_out)
        self.shortcut = nn.Sequential()
        if stride > 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.GroupNorm(groups, n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class DiPalmaResNet(nn.Module):
    """A residual network of one block a stage, for images of any size from 32 px on.

    Stem: 7 × 7 convolution of stride 2, GroupNorm, ReLU, 3 × 3 max-pool of stride 2. Then four
    stages of one block each, the last three of stride 2. Convolutions have no bias. GroupNorm
    treats each image by itself, so images may come one at a time; where a layer has as many
    channels as groups (by default stem and first stage) it is instance normalization.

    Parameters
    ----------
    norm_groups : int
        Groups of each GroupNorm; must divide all `widths`.
    widths : sequence of int
        Channels of the four stages; the stem has as many as the first.
    num_classes : int
        Outputs of a dense layer on the pooled features; 0 for the features themselves.

    Raises
    ------
    ValueError
        The groups do not divide the widths.

    Notes
    -----
    The first weights are He normal with the fan of the outputs; GroupNorm begins as 1 and 0. The
    paper calls it a ResNet; depth, widths and groups are those of the code that its authors
    published in 2025. With three classes it has 1,231,011 parameters.

    References
    ----------
    DiPalma et al. 2021, doi:10.1016/j.artmed.2021.102136; He et al. 2016,
    doi:10.1109/CVPR.2016.90; Wu and He 2018, doi:10.1007/978-3-030-01261-8_1.

    Examples
    --------
    >>> model = DiPalmaResNet(num_classes=3)
    >>> sum(p.numel() for p in model.parameters()), model(torch.zeros(1, 3, 97, 121)).shape
    (1231011, torch.Size([1, 3]))
    """

    def __init__(
        self,
        norm_groups: int = 32,
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        if norm_groups < 1 or any(width % norm_groups for width in widths):
            raise ValueError(f"{norm_groups} groups do not divide the widths {tuple(widths)}")
        self.num_features = self.head_hidden_size = widths[-1]
        self.grad_checkpointing = False
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.norm1 = nn.GroupNorm(norm_groups, widths[0])
        self.pool = nn.MaxPool2d(3, 2, 1)
        n_in = widths[0]
        for i, width in enumerate(widths):
            stage = _Block(n_in, width, 1 if i == 0 else 2, norm_groups)
            self.add_module(f"layer{i + 1}", stage)
            n_in = width
        self.fc = nn.Linear(n_in, num_classes) if num_classes else nn.Identity()
        self.feature_info = [
            {"module": f"layer{i + 1}", "num_chs": width, "reduction": 4 << i}
            for i, width in enumerate(widths)
        ]
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def set_grad_checkpointing(self, enable: bool = True) -> None:  # noqa: FBT001, FBT002 - timm's
        """Compute the inside of each stage again in the backward pass instead of keeping it."""
        self.grad_checkpointing = enable

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the map of the last stage (N, 256, H / 32, W / 32), after its ReLU."""
        x = torch.relu(self.norm1(self.conv1(x)))
        # PyTorch's own also notes the place of each maximum, which only gradients need
        plain = torch.is_grad_enabled() or torch.compiler.is_compiling()
        x = self.pool(x) if plain or x.device.type != "cpu" else pooled(x)
        for i in range(1, 5):
            stage = getattr(self, f"layer{i}")
            if self.grad_checkpointing and torch.is_grad_enabled():
                x = checkpoint(stage, x, use_reentrant=False)
            else:
                x = stage(x)
        return x

    def forward_head(self, x: Tensor) -> Tensor:
        """Return the mean over places (N, 256), or the outputs of the dense layer."""
        head: Tensor = self.fc(x.mean((2, 3)))
        return head

    def forward(self, x: Tensor) -> Tensor:
        """Return pooled features or outputs of images (N, 3, H, W)."""
        return self.forward_head(self.forward_features(x))


def pooled(x: Tensor) -> Tensor:
    """Return the maxima of 3 × 3 places with a stride of 2, as ``MaxPool2d(3, 2, 1)``; no gradient.

    Rows first and then columns, whole lines at a time: on a CPU several times as fast.

    Parameters
    ----------
    x : Tensor (N, C, H, W)
        Any numbers.

    Returns
    -------
    Tensor (N, C, ceil(H / 2), ceil(W / 2))

    Examples
    --------
    >>> pooled(torch.arange(12.0).reshape(1, 1, 3, 4)).tolist()
    [[[[5.0, 7.0], [9.0, 11.0]]]]
    """
    for axis in (2, 3):
        n = x.shape[axis]
        found = x[(slice(None),) * axis + (slice(0, None, 2),)].clone()
        for first, neighbors in ((0, slice(1, None, 2)), (1, slice(1, n - 1, 2))):
            beside = x[(slice(None),) * axis + (neighbors,)]
            part = found.narrow(axis, first, beside.shape[axis])
            torch.maximum(part, beside, out=part)
        x = found
    return x


# known to timm from now on: timm.create_model("dipalma_resnet10")
@register_model
def dipalma_resnet10(*, pretrained: bool = False, **kwargs: Any) -> DiPalmaResNet:
    """Build `DiPalmaResNet` for timm, which passes some arguments of its own."""
    if pretrained:
        raise ValueError("nobody published weights of dipalma_resnet10")
    of_timm = ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")
    return DiPalmaResNet(**{k: v for k, v in kwargs.items() if k not in of_timm})
