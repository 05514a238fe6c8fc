"""Makes the two files beside it, with a PyTorch that is too large for the lock: its wheel has 550 MB.

`python tests/data/torch_net/make.py`, with torch 2.14.1, onnx 1.23.2 and onnxscript 0.7.2.
"""

import json
from pathlib import Path

import torch

HERE = Path(__file__).parent


def main() -> None:
    """Train a net of four features a little, export it as docs/models.md says, and keep what it says itself."""
    torch.manual_seed(0)
    X = torch.randn(300, 4)  # noqa: N806, as the page calls it
    net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.GELU(), torch.nn.Linear(16, 1))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(200):
        optimiser.zero_grad()
        (net(X)[:, 0] - X[:, 0] * X[:, 1]).square().mean().backward()
        optimiser.step()

    rows = (X[:2],)
    exported = torch.onnx.export(net.eval(), rows, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    onnx_bytes = exported.model_proto.SerializeToString()
    reference = net(X).detach().numpy()[:, 0]

    (HERE / "net.onnx").write_bytes(without_places(onnx_bytes))
    some = slice(120)
    written = {
        "torch": torch.__version__,
        "rows": X[some].tolist(),
        "reference": reference[some].astype(float).tolist(),
    }
    (HERE / "net.json").write_text(json.dumps(written) + "\n")


def without_places(content: bytes) -> bytes:
    """Drop where each operator stood in the source: it names folders of one machine."""
    import onnx

    model = onnx.load_model_from_string(content)
    for part in [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph]:
        del part.metadata_props[:]
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
