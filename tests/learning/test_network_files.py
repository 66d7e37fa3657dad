"""Networks on disk: equal networks give equal bytes, which safetensors itself reads."""

from safetensors import safe_open

from histograft.learning.network import NetworkSpec, state_to_save
from histograft.learning.network_files import read_network, write_network
from histograft.learning.weights import build_network

SPEC = NetworkSpec("resnet10t", ("a", "b"), kwargs={"bn_eps": 1e-3}, hidden=(4,))


def test_equal_networks_give_equal_files(tmp_path):
    files = []
    for number in range(8):  # by chance the library's order of five keys agrees in 1 of 120
        path = tmp_path / f"{number}.safetensors"
        write_network(path, build_network(SPEC, "random", seed=1))
        files.append(path.read_bytes())
    assert len(set(files)) == 1
    start = files[0].index(b"__metadata__")
    keys = (b"architecture", b"format", b"kwargs", b"mean", b"std")
    places = [files[0].index(b'"' + key + b'"', start) for key in keys]
    assert places == sorted(places)


def test_the_library_reads_what_was_written(tmp_path):
    network = build_network(SPEC, "random", seed=1)
    write_network(tmp_path / "n.safetensors", network)
    state = state_to_save(network)
    with safe_open(tmp_path / "n.safetensors", "pt") as file:
        assert set(file.keys()) == set(state)
        for name in file.keys():  # noqa: SIM118 - it is no dictionary
            assert file.get_tensor(name).equal(state[name])
        assert file.metadata() == {
            "format": "pt", "architecture": "resnet10t", "kwargs": '{"bn_eps": 0.001}',
            "mean": "[0.5, 0.5, 0.5]", "std": "[0.5, 0.5, 0.5]",
        }  # fmt: skip
    copy = read_network(tmp_path / "n.safetensors", SPEC)
    assert all(tensor.equal(state[name]) for name, tensor in state_to_save(copy).items())
