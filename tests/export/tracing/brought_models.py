"""Classifiers as people bring them: what they take, what they give, what they are wrapped in."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


def compiled(layer: nn.Module) -> nn.Module:
    """It, wrapped."""
    wrapped: Any = torch.compile(layer)
    return cast("nn.Module", wrapped)


def net():
    """Four numbers to three classes."""
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


@dataclass
class Answer:
    """As transformers gives it."""

    loss: None
    logits: torch.Tensor


class Gives(nn.Module):
    """`net`, and what `form` makes of its logits."""

    def __init__(self, form):
        super().__init__()
        self.net, self.form = net(), form

    def forward(self, x):
        return self.form(self.net(x), self.training)


class Takes(nn.Module):
    """Two inputs in one argument."""

    def __init__(self, read):
        super().__init__()
        self.read, self.one, self.other = read, nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, batch):
        first, second = self.read(batch)
        return self.one(first) + self.other(second)


class InOrder(Takes):
    """Two arguments of other names."""

    def forward(self, first, second):
        return self.one(first) + self.other(second)


class Checkpointed(nn.Module):
    """Its middle is computed again in the backward pass."""

    def __init__(self, reentrant):
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(4, 6), nn.Sequential(nn.Tanh(), nn.Dropout(0.3)), nn.Linear(6, 3)
        self.reentrant = reentrant

    def forward(self, x):
        return self.last(checkpoint(self.middle, self.first(x), use_reentrant=self.reentrant))


class Autocast(nn.Module):
    """It asks for bfloat16."""

    def __init__(self):
        super().__init__()
        self.net = net()

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.net(x)


class Padded(nn.Module):
    """A transformer whose tokens of 0 are padding; in evaluation torch would take its fast path."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.1, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 1), nn.Linear(4, 3)

    def forward(self, x):
        hidden = self.encoder(self.embed(x) * 0.5, src_key_padding_mask=F.pad(x[:, 1:] == 0, (1, 0)))
        return self.head(hidden[:, 0])


class TwoVocabularies(nn.Module):
    """Words and parts of speech."""

    def __init__(self):
        super().__init__()
        self.words, self.parts, self.head = nn.Embedding(50, 3), nn.Embedding(4, 3), nn.Linear(3, 3)

    def forward(self, words, parts):
        return self.head(self.words(words).mean(1) + self.parts(parts).mean(1))


class Float32Constant(nn.Module):
    """It makes a matrix of its own, and keeps another in an attribute."""

    def __init__(self):
        super().__init__()
        self.net, self.plain = net(), torch.eye(4) * 2

    def forward(self, x):
        return self.net(x @ torch.eye(4, dtype=torch.float32) @ self.plain)


Aux = namedtuple("Aux", ["logits", "aux"])
TWO = ["a=float32:4", "b=float32:2"]
FORMS = {
    "an output object": (lambda: Gives(lambda y, training: Answer(None, y)), {}, "of a Answer the logits"),
    "a dict": (lambda: Gives(lambda y, training: OrderedDict(logits=y)), {}, "what is called logits"),
    "logits of a kind": (
        lambda: Gives(lambda y, training: OrderedDict(loss=y.sum(), prediction_logits=y)),
        {},
        "what is called prediction_logits",
    ),
    "a tuple": (lambda: Gives(lambda y, training: (y, y[:, :1])), {}, "of a tuple the first tensor"),
    "auxiliary logits in training": (lambda: Gives(lambda y, training: Aux(y, y) if training else y), {}, "of a Aux"),
    "maps of one pixel": (lambda: Gives(lambda y, training: y[:, :, None, None]), {}, "of size 1 are left out"),
    "one logit": (lambda: nn.Sequential(net(), nn.Linear(3, 1)), {"classes": 2}, "one number for two classes"),
    "one logit without a dimension": (lambda: Gives(lambda y, training: y[:, 0]), {"classes": 2}, "one number for two"),
    "a dict of inputs": (lambda: Takes(lambda batch: (batch["a"], batch["b"])), {"input": TWO}, "as one dict"),
    "a tuple of inputs": (lambda: Takes(lambda batch: batch), {"input": TWO}, "as one tuple"),
    "inputs of other names": (lambda: InOrder(None), {"input": TWO}, "in order"),
    "compiled": (lambda: torch.compile(net()), {}, "taken out of its OptimizedModule"),
    "compiled within": (lambda: nn.Sequential(compiled(nn.Linear(4, 4)), net()), {}, ""),
    "data parallel": (lambda: nn.DataParallel(net()), {}, "taken out of its DataParallel"),
    "half": (lambda: net().half(), {}, "float16 parameters are taken as float32"),
    "bfloat16": (lambda: net().bfloat16(), {}, "bfloat16 parameters"),
    "double": (lambda: net().double(), {}, "float64 parameters"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(5), nn.Tanh(), nn.LazyLinear(3)), {}, "lazy layers"),
    "checkpointed": (lambda: Checkpointed(False), {}, ""),
    "checkpointed, reentrant": (lambda: Checkpointed(True), {}, ""),
    "autocast": (Autocast, {}, ""),
    "old weight_norm": (
        lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)),
        {},
        "",
    ),
    "a padding mask": (Padded, {"input": "int64:5:9"}, ""),
    "two vocabularies": (TwoVocabularies, {"input": ["words=int64:5:50", "parts=int64:5:4"]}, ""),
    "constants of float32": (Float32Constant, {}, ""),
    "bilinear": (lambda: Squared(nn.Bilinear(4, 4, 3)), {}, ""),
    "bags of embeddings": (lambda: nn.Sequential(nn.EmbeddingBag(9, 4), nn.Linear(4, 3)), {"input": "int64:5:9"}, ""),
    "local response normalization": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 2), nn.LocalResponseNorm(3), nn.Flatten(), nn.Linear(16, 3)),
        {"input": "float32:1x3x3"},
        "",
    ),
}


class Squared(nn.Module):
    """A layer of two inputs, given one twice."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x, x)


class PlainList(nn.Module):
    """Its layers are unknown to torch."""

    def __init__(self):
        super().__init__()
        self.layers, self.head = [nn.Linear(4, 4)], nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.layers[0](x))


class Parent(nn.Module):
    """A list of layers that are known as well."""

    def __init__(self):
        super().__init__()
        self.net = net()
        self.order = [self.net]

    def forward(self, x):
        return self.order[0](x)


def meta():
    with torch.device("meta"):
        return net()
