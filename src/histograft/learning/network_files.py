"""A network on disk: ``network.safetensors`` and the specification that rebuilds it."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file

from histograft.learning.network import Network, NetworkSpec, load_state, state_to_save
from histograft.learning.weight_files import read_weight_file


def write_network(path: Path, network: Network) -> None:
    """Write the weights of a network as safetensors.

    Part A's tensors bear timm's names, Part B's begin with ``part_b.``; the file's metadata state
    architecture, kwargs, mean and std, so that the file serves as a weights file by itself.

    Parameters
    ----------
    path : pathlib.Path
        Where to write.
    network : Network
        Its weights are copied to the CPU.
    """
    spec = network.spec
    metadata = {
        "format": "pt",
        "architecture": spec.architecture,
        "kwargs": json.dumps(spec.kwargs, sort_keys=True),
        "mean": json.dumps(spec.mean),
        "std": json.dumps(spec.std),
    }
    save_file(state_to_save(network), path, metadata)
    _sort_metadata(path)


def _sort_metadata(path: Path) -> None:
    """Sort the metadata in a safetensors header: the library writes them in a random order.

    A file is 8 bytes (length of the header, little-endian), the header (JSON, may end in spaces)
    and the tensors, whose offsets count from the end of the header. So its length stays.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > size:
            raise ValueError(f"the header of {path} is written more shortly than JSON needs")
        file.seek(8)
        file.write(text.ljust(size))


def read_network(weights: Path, spec: NetworkSpec) -> Network:
    """Rebuild a network from its weights and specification.

    Parameters
    ----------
    weights : pathlib.Path
        What `write_network` wrote.
    spec : NetworkSpec
        Its specification.

    Returns
    -------
    Network
        In evaluation mode.

    Raises
    ------
    InputError
        The file is no safetensors file, or does not fit the specification.
    """
    network = Network(spec)
    load_state(network, read_weight_file(weights).state)
    return network.eval()
