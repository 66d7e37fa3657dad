"""What turns patches into features: a network read at named points, or shortcut baselines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from histograft.core.artefact import Input
from histograft.verbs.patch_images import PatchImages

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.learning.network import Network
    from histograft.learning.network import Point as NetworkPoint

Point = Literal["gap", "dense", "dense-pre", "random"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
SHORTCUTS = ("rgb", "histogram", "jpeg")


class Extractor(Protocol):
    """Features of several models in one pass over the patches.

    Attributes
    ----------
    models : list of str
        Names of the models.
    record : Input
        What goes into the identity of the features artefact.
    resolved : dict
        Settings that were found rather than given, hashed into the identity.
    attributes : mapping
        What the feature files say of the network.
    seen : set of (str, str)
        What the weights were tuned on, see `histograft.verbs.networks.tuned_on`.
    """

    models: list[str]
    record: Input
    resolved: dict[str, Any]
    attributes: Mapping[str, Any]
    seen: set[tuple[str, str]]

    def features(
        self, images: PatchImages, rows: pd.DataFrame
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yield the features (B, D) of the next B patches for each model."""
        ...


@dataclass(frozen=True)
class PassSettings:
    """How patches pass through a network: device, patches at once, arithmetic."""

    device: str
    batch_size: int
    precision: Precision


@dataclass(frozen=True)
class RandomLayer:
    """An untrained dense layer with ReLU on the pooled features: its size and seed."""

    size: int
    seed: int


@dataclass(frozen=True)
class KnownNetwork:
    """A network and what is known of it.

    Attributes
    ----------
    network : Network
        The network.
    record : Input
        Where it is from.
    seen : set of (str, str)
        What it was tuned on.
    resolved : dict
        Settings that were found with the weights.
    """

    network: Network
    record: Input
    seen: set[tuple[str, str]] = field(default_factory=set)
    resolved: dict[str, Any] = field(default_factory=dict)


class NetworkExtractor:
    """A network, read at named points; ``random`` is an untrained dense layer on its gap.

    Parameters
    ----------
    known : KnownNetwork
        The network, where it is from and what it has seen.
    prefix : str
        First part of the models' names.
    points : tuple of str
        Where to read it.
    layer : RandomLayer
        For the point ``random``.
    settings : PassSettings
        Device, batch and precision.
    """

    def __init__(
        self,
        known: KnownNetwork,
        prefix: str,
        points: tuple[Point, ...],
        layer: RandomLayer,
        settings: PassSettings,
    ) -> None:
        network = known.network
        self.models = [f"{prefix}-{point}" for point in points]
        self.record, self.seen, self.resolved = known.record, known.seen, known.resolved
        self.attributes: Mapping[str, Any] = {
            "architecture": network.spec.architecture,
            "mean": list(network.spec.mean),
            "std": list(network.spec.std),
            "network": known.record.id,
        }
        self._network = network
        self._points = points
        self._layer = layer
        self._settings = settings

    def features(
        self, images: PatchImages, rows: pd.DataFrame
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yield the features of the next batch for each model."""
        del rows
        return self.features_of(images.image(index) for index in range(len(images)))

    def features_of(
        self, pictures: Iterable[NDArray[np.uint8]]
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yield the features of the next batch of pictures, uint8 (H, W, 3), for each model."""
        from histograft.learning.embed import embed, project, random_projection_head

        wanted: dict[NetworkPoint, None] = dict.fromkeys(
            "gap" if p == "random" else p for p in self._points
        )
        head = random_projection_head(self._network.gap_size, self._layer.size, self._layer.seed)
        for part in embed(
            self._network,
            pictures,
            tuple(wanted),
            device=self._settings.device,
            batch_size=self._settings.batch_size,
            precision=self._settings.precision,
        ):
            yield {
                model: project(head, part["gap"]) if point == "random" else part[point]
                for model, point in zip(self.models, self._points, strict=True)
            }

    @property
    def sizes(self) -> dict[str, int]:
        """Number of features of each model."""
        return {
            model: self._layer.size if point == "random" else self._network.feature_size(point)
            for model, point in zip(self.models, self._points, strict=True)
        }

    @property
    def mpp(self) -> float | None:
        """µm/px that the network was tuned at, where it is known."""
        return self._network.spec.mpp


class ShortcutExtractor:
    """Mean RGB, color histogram and JPEG settings: what needs no network."""

    def __init__(self) -> None:
        self.models = [f"shortcut-{name}" for name in SHORTCUTS]
        self.record = Input("network", "shortcuts", "shortcuts-1", "shortcuts")
        self.resolved: dict[str, Any] = {}
        self.attributes: Mapping[str, Any] = {}
        self.seen: set[tuple[str, str]] = set()

    def features(
        self, images: PatchImages, rows: pd.DataFrame
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Yield the features of the next patch for each baseline."""
        import numpy as np

        from histograft.imaging.shortcuts import color_histogram, jpeg_features, mean_rgb

        formats = rows["source_format"]
        quantization = rows["source_quantization"].astype(object)
        for index, (form, text) in enumerate(zip(formats, quantization, strict=True)):
            pixels = images.image(index)
            tables = json.loads(text) if isinstance(text, str) else None
            values = (mean_rgb(pixels), color_histogram(pixels), jpeg_features(form, tables))
            yield {m: np.atleast_2d(v) for m, v in zip(self.models, values, strict=True)}
