"""ImageNet and other pretrained weights through timm, with help where there is no network."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import timm
from huggingface_hub import constants as hub
from timm.models._hub import load_model_config_from_hf
from torch import Tensor

from histograft.core.errors import InputError
from histograft.learning.architectures import OWN_KWARGS, create_part_a
from histograft.learning.opened import OpenedWeights, fitted_state


def imagenet_weights(architecture: str, kwargs: Mapping[str, Any] | None = None) -> OpenedWeights:
    """Return the pretrained weights that timm has for an architecture.

    Parameters
    ----------
    architecture : str
        A timm name (``legacy_xception``, ``resnet50``, also with a tag, as
        ``resnet50.a1_in1k``) or ``hf-hub:owner/name``. The architecture of the returned weights
        is the plain timm name, so that the network can be rebuilt without the hub.
    kwargs : mapping, optional
        Keyword arguments of `create_part_a`.

    Raises
    ------
    InputError
        The weights are neither in timm's cache nor can be downloaded.
    """
    name, hub_kwargs = resolved_name(architecture)
    used_kwargs = {**hub_kwargs, **(kwargs or {})}
    plain = {k: v for k, v in used_kwargs.items() if k not in OWN_KWARGS}
    with _downloading(architecture):
        source = timm.create_model(architecture, pretrained=True, **plain)
    model = create_part_a(name, used_kwargs)
    state = fitted_state(model, source.state_dict(), f"timm's weights for {architecture}:")
    config: Any = source.pretrained_cfg
    return OpenedWeights(
        state,
        name,
        used_kwargs,
        tuple(config["mean"]),
        tuple(config["std"]),
        sha256=_hash_of(state),
    )


@contextmanager
def _downloading(architecture: str) -> Iterator[None]:
    """Turn any failure of a download into an error that says what to do without network."""
    offline = hub.HF_HUB_OFFLINE
    # without a name server the hub's client would retry for a minute before it fails
    hub.HF_HUB_OFFLINE = offline or not _resolves(hub.ENDPOINT)
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each library on the way has its own errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"timm could not get pretrained weights for {architecture!r}: {reason[:200]}",
            f"on a machine with network access download {_source_of(architecture)}, bring the "
            "file here and give it with --weights FILE (train, transfer: --init FILE), or start "
            "from random weights",
        ) from error
    finally:
        hub.HF_HUB_OFFLINE = offline


def _resolves(url: str) -> bool:
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")):
        return True  # the proxy looks the name up
    try:
        socket.getaddrinfo(urlsplit(url).hostname, 443)
    except OSError:
        return False
    return True


def _source_of(architecture: str) -> str:
    if architecture.startswith("hf-hub:"):
        return f"https://huggingface.co/{architecture.removeprefix('hf-hub:')}"
    config = timm.get_pretrained_cfg(architecture) if timm.is_model(architecture) else None
    if config is None:
        return "its weights"
    if config.hf_hub_id:
        hub = config.hf_hub_id
        tag = hub if "/" in hub and not hub.endswith("/") else f"{hub}{architecture}"
        return f"https://huggingface.co/{tag} (model.safetensors)"
    return str(config.url or "its weights (timm has none for this name)")


def resolved_name(architecture: str) -> tuple[str, dict[str, Any]]:
    """Return the plain timm name and the keyword arguments of a name that may point to the hub.

    Examples
    --------
    >>> resolved_name("resnet50.a1_in1k")
    ('resnet50', {})
    """
    if not architecture.startswith("hf-hub:"):
        return architecture.split(".")[0], {}
    with _downloading(architecture):
        _, name, kwargs = load_model_config_from_hf(architecture.removeprefix("hf-hub:"))
    return str(name).split(".")[0], dict(kwargs or {})


def _hash_of(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
