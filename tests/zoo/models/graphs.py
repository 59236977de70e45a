"""PyTorch Geometric over a graph of ten sensors that stays the same: convolutions, attention, pooling, dense forms."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.entries import CLASSES, Entry

_NODES, _FEATURES, _WIDTH = 10, 6, 16


class _Network(nn.Module):
    """Two convolutions over one graph of sensors, the mean of its nodes, a linear head."""

    def __init__(self, first: nn.Module, second: nn.Module, width: int, dense: bool) -> None:
        super().__init__()
        self.first, self.second, self.head = first, second, nn.Linear(width, CLASSES)
        ring = torch.arange(_NODES)
        edges = torch.stack([torch.cat([ring, ring]), torch.cat([(ring + 1) % _NODES, (ring + 3) % _NODES])])
        self.register_buffer(
            "edges", torch.zeros(_NODES, _NODES).index_put(tuple(edges), torch.ones(())) if dense else edges
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, nodes, features); logits (B, CLASSES)."""
        x = torch.relu(self.first(x, self.edges))
        return self.head(self.second(x, self.edges).mean(1))


def _convolutions(name: str, options: dict[str, Any]) -> nn.Module:
    from torch_geometric import nn as layers

    layer = getattr(layers, name)
    return _Network(
        layer(_FEATURES, _WIDTH, **options), layer(_WIDTH, _WIDTH, **options), _WIDTH, name.startswith("Dense")
    )


def _isomorphism() -> nn.Module:
    from torch_geometric.nn import GINConv

    def layer(width: int) -> nn.Module:
        inner = nn.Sequential(nn.Linear(width, _WIDTH), nn.BatchNorm1d(_NODES), nn.ReLU(), nn.Linear(_WIDTH, _WIDTH))
        return GINConv(inner, train_eps=True)

    return _Network(layer(_FEATURES), layer(_WIDTH), _WIDTH, False)


def _graph(name: str, **options: Any) -> Entry:
    build = partial(_convolutions, name, options)
    return Entry(name, "torch-geometric", "graph", build, f"float32:{_NODES}x{_FEATURES}")


ENTRIES = (
    _graph("GCNConv"),
    _graph("SAGEConv"),
    _graph("DenseGCNConv"),
    _graph("ChebConv", K=2),
    Entry("GINConv", "torch-geometric", "graph", _isomorphism, f"float32:{_NODES}x{_FEATURES}"),
    _graph("DenseSAGEConv"),
    _graph("GraphConv", aggr="max"),
    _graph("TAGConv", K=2),
)
