"""A network as ONNX, which other programs run without PyTorch, and how well both agree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.learning.network import Network

INPUT, OUTPUT = "image", "logits"
MOST_BYTES = 2**31 - 1  # of a file that holds its weights
OPSET = 18  # the first in which all that torch writes exists, and which it writes without rewriting


def to_onnx(network: Network, *, any_size: bool) -> bytes:
    """Return a network as the bytes of one ONNX file, weights included.

    Parameters
    ----------
    network : Network
        Ends on the CPU, in inference mode.
    any_size : bool
        Whether height and width of the images are free, as for networks of pieces; otherwise they
        are the network's ``patch_px``. The number of images is free in any case.

    Returns
    -------
    bytes
        The model takes ``image``, float32 (n, 3, height, width), normalized as the specification
        says, and gives ``logits``, float32 (n, K). Its metadata hold ``classes``, ``mean`` and
        ``std`` as JSON.

    Raises
    ------
    InputError
        The extra ``export`` is not installed, or the network cannot be written in this form.

    Examples
    --------
    >>> from histograft.learning.network import NetworkSpec
    >>> network = Network(NetworkSpec("dipalma_resnet10", ("a", "b"), hidden=()))
    >>> model = to_onnx(network, any_size=True)
    >>> OnnxNetwork(model)(np.zeros((2, 3, 48, 70), np.float32)).shape
    (2, 2)
    """
    _needed()
    network.cpu().eval()
    side = network.spec.patch_px
    # Sides of the example: 0 and 1 would be taken for constants, equal sides for one variable.
    shape = (2, 3, side, side + 32 if any_size else side)
    free: dict[int, Any] = {0: torch.export.Dim("n")}
    if any_size:
        free |= {2: torch.export.Dim("height", min=32), 3: torch.export.Dim("width", min=32)}
    try:
        program: Any = torch.onnx.export(
            network,
            (torch.zeros(shape),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"x": free},
            verbose=False,
        )
        proto = program.model_proto
    except (torch.onnx.errors.OnnxExporterError, torch._dynamo.exc.UserError) as error:
        raise InputError(
            f"{network.spec.architecture} cannot be written as ONNX: {error}",
            "give images of one size (--sizes fixed)" if any_size else "use another architecture",
        ) from error
    for name in ("classes", "mean", "std"):
        entry = proto.metadata_props.add()
        entry.key, entry.value = name, json.dumps(getattr(network.spec, name))
    if proto.ByteSize() > MOST_BYTES:
        raise InputError(
            f"{network.spec.architecture} takes {proto.ByteSize():,} bytes, an ONNX file has at "
            f"most {MOST_BYTES:,}",
            "use its safetensors",
        )
    return bytes(proto.SerializeToString())


class OnnxNetwork:
    """A network that ONNX Runtime computes, on the CPU.

    Parameters
    ----------
    model : bytes
        Of `to_onnx`.

    Raises
    ------
    InputError
        The extra ``export`` is not installed.
    """

    def __init__(self, model: bytes) -> None:
        _needed()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors: what it finds out about devices is no news
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (n, K) of normalized images (n, 3, height, width)."""
        found: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: images})[0]
        return found


def largest_difference(
    network: Network, model: bytes, shapes: Sequence[tuple[int, int, int]], *, seed: int = 0
) -> float:
    """Return the largest absolute difference between the logits of PyTorch and ONNX Runtime.

    Parameters
    ----------
    network : Network
        Ends on the CPU, in inference mode.
    model : bytes
        Of `to_onnx`.
    shapes : sequence of (int, int, int)
        Number, height and width of the images to try. Best are those of which the model was not
        made, which show that its sizes are free.
    seed : int
        Of the images, whose values are normal with mean 0 and standard deviation 1.

    Returns
    -------
    float
        0 or above; infinite where one of the two gives NaN.
    """
    network.cpu().eval()
    other = OnnxNetwork(model)
    rng = np.random.default_rng(seed)
    worst = 0.0
    for n, height, width in shapes:
        images = rng.standard_normal((n, 3, height, width), dtype=np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(images)).numpy()
        difference = float(np.abs(expected - other(images)).max())
        worst = max(worst, difference if np.isfinite(difference) else np.inf)
    return worst


def _needed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{error.name} is not installed", "install it: pip install 'histograft[export]'"
        ) from error
