"""Dropout from supplied uniforms: exact masks, the same in every layer that drops out, and none in evaluation."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.layers.dropout import elementwise, whole_channels
from fedrela.export.layers.rewriting import Rewriting


class Supply:
    """Gives uniforms from a seed and remembers the shapes that were asked for."""

    def __init__(self, seed=0):
        self.generator = torch.Generator().manual_seed(seed)
        self.given = []

    def __call__(self, shape):
        self.given.append(torch.rand(shape, generator=self.generator))
        return self.given[-1]


def halves(shape):
    return torch.full(shape, 0.5)


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_elements_are_kept_from_p_upwards_and_scaled():
    uniforms = torch.tensor([[0.0, 0.74, 0.75, 0.99]])
    kept = elementwise(torch.tensor([[1.0, 2.0, 3.0, -4.0]]), 0.75, lambda shape: uniforms)
    assert kept.tolist() == [[0.0, 0.0, 12.0, -16.0]]


def test_whole_channels_fall_together():
    x = torch.ones(2, 2, 3, 2)
    kept = whole_channels(x, 0.5, lambda shape: torch.tensor([[0.4, 0.6], [0.5, 0.1]]))
    assert kept.amax((2, 3)).tolist() == kept.amin((2, 3)).tolist() == [[0.0, 2.0], [2.0, 0.0]]


@pytest.mark.parametrize("drop", [elementwise, whole_channels])
def test_probability_one_drops_everything_and_asks_for_nothing(drop):
    supply = Supply()
    assert not drop(torch.ones(2, 3, 4), 1.0, supply).any()
    assert supply.given == []


def test_dropout_keeps_the_expectation_and_passes_the_mask_to_the_gradient():
    x = torch.ones(100, 100, requires_grad=True)
    y = elementwise(x, 0.2, Supply())
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)  # standard deviation 0.005
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach())


@pytest.mark.parametrize(
    ("layer", "shape", "asked"),
    [
        (nn.Dropout(0.3), (2, 3, 4), (2, 3, 4)),
        (nn.Dropout1d(0.3), (2, 3, 4), (2, 3)),
        (nn.Dropout2d(0.3), (2, 3, 4, 5), (2, 3)),
        (nn.Dropout3d(0.3), (2, 3, 4, 5, 2), (2, 3)),
    ],
)
def test_layers_ask_for_their_uniforms_in_training_alone(layer, shape, asked):
    x, supply = normal(*shape), Supply()
    with Rewriting(None, supply):
        dropped = layer(x)
        assert layer.eval()(x) is x
        assert F.dropout(x, 0.0) is x
    assert [tuple(u.shape) for u in supply.given] == [asked]
    mask = (supply.given[0] >= 0.3).reshape(*asked, *[1] * (len(shape) - len(asked)))
    torch.testing.assert_close(dropped, torch.where(mask, x / 0.7, torch.zeros(())))


def test_the_same_uniforms_replay_a_step_and_nothing_is_drawn_elsewhere():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2), nn.Dropout(0.1))
    x, state, results = normal(3, 4), torch.get_rng_state(), []
    for seed in (1, 1, 2):
        with Rewriting(None, Supply(seed)):
            results.append(model(x))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(torch.get_rng_state(), state)


MASKS = {
    "none": {},
    "causal": {"is_causal": True},
    "boolean": {"attn_mask": torch.tensor([[True, False, True], [True, True, False], [False, True, True]])},
    "additive": {"attn_mask": torch.tensor([[0.0, -1.0, 2.0], [1.0, 0.0, 0.5], [3.0, 0.0, -2.0]])},
    "scale": {"scale": 0.7},
}


@pytest.mark.parametrize("name", MASKS)
def test_attention_that_keeps_everything_is_that_of_torch_scaled(name):
    query, key, value = normal(2, 2, 3, 4), normal(2, 2, 3, 4) + 1, normal(2, 2, 3, 5)
    expected = F.scaled_dot_product_attention(query, key, value, **MASKS[name])
    with Rewriting(None, halves):
        kept = F.scaled_dot_product_attention(query, key, value, dropout_p=0.2, **MASKS[name])
        without = F.scaled_dot_product_attention(query, key, value, **MASKS[name])
    torch.testing.assert_close(kept, expected / 0.8)
    torch.testing.assert_close(without, expected)


def test_attention_drops_weights_not_values():
    supply, places = Supply(), torch.eye(3)[None]  # the values pick out the attention weights
    with Rewriting(None, supply):
        weights = F.scaled_dot_product_attention(torch.zeros(1, 3, 4), torch.zeros(1, 3, 4), places, dropout_p=0.5)
    torch.testing.assert_close(weights, (supply.given[0] >= 0.5) * (2 / 3))


@pytest.mark.parametrize("need_weights", [False, True])
def test_multi_head_attention_drops_its_weights_through_the_supply(need_weights):
    torch.manual_seed(0)
    layer, x, supply = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True), normal(2, 3, 4), Supply()
    state, unpatched = torch.get_rng_state(), F.dropout
    with Rewriting(None, supply):
        layer(x, x, x, need_weights=need_weights)
    assert [u.numel() for u in supply.given] == [2 * 2 * 3 * 3]
    assert torch.equal(torch.get_rng_state(), state)
    assert F.dropout is unpatched


def test_a_query_that_may_attend_to_nothing_gets_zeros_and_so_does_its_gradient():
    seen = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    for mask in (seen, torch.zeros(3, 3).masked_fill(~seen, float("-inf"))):
        gradients, results = [], []
        for drop in (0.0, 0.2):
            query, key, value = (normal(2, 2, 3, 4).requires_grad_() for _ in range(3))
            with Rewriting(None, halves):
                result = F.scaled_dot_product_attention(query, key, value, mask, drop)
            result.square().sum().backward()
            results.append(result.detach() * (1 - drop))
            gradients.append([x.grad * (1 - drop) ** 2 for x in (query, key, value)])
        assert not results[0][:, :, 1].any()
        torch.testing.assert_close(results[1], results[0])
        torch.testing.assert_close(gradients[1], gradients[0])


def test_grouped_query_attention_repeats_the_heads():
    query, key = normal(1, 4, 3, 2), normal(1, 2, 3, 2)
    expected = F.scaled_dot_product_attention(query, key, key + 1, enable_gqa=True)
    with Rewriting(None, halves):
        kept = F.scaled_dot_product_attention(query, key, key + 1, dropout_p=0.2, enable_gqa=True)
    torch.testing.assert_close(kept, expected / 0.8)


@pytest.mark.parametrize(
    "drop",
    [
        lambda x: F.dropout(x, 0.3, inplace=True),
        lambda x: torch.dropout_(x, 0.3, True),
        lambda x: torch.dropout_(x, p=0.3, train=True),
        nn.Dropout(0.3, inplace=True),
    ],
)
def test_dropout_in_place_changes_its_input(drop):
    x, supply = normal(2, 3), Supply()
    original = x.clone().requires_grad_()
    with Rewriting(None, supply):
        changed = original * 1.0
        assert drop(changed) is changed  # and a model may go on with either
    torch.testing.assert_close(changed, torch.where(supply.given[0] >= 0.3, original / 0.7, 0.0))
    changed.sum().backward()
    torch.testing.assert_close(original.grad, (supply.given[0] >= 0.3) / 0.7)


@pytest.mark.parametrize("layer", [nn.AlphaDropout(0.3), nn.FeatureAlphaDropout(0.3)])
def test_alpha_dropout_with_the_draws_of_torch_gives_what_torch_gives(layer):
    torch.manual_seed(0)
    x = normal(4, 20, 6)
    theirs = layer(x)
    kept = (theirs - theirs.flatten().mode().values).abs() > 1e-6  # all that falls gets one value
    assert 0.5 < kept.float().mean() < 0.9
    asked = kept.any(2) if isinstance(layer, nn.FeatureAlphaDropout) else kept
    with Rewriting(None, lambda shape: asked.float().reshape(shape)):
        ours = layer(x)
        assert layer.eval()(x) is x
    layer.train()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("drop", "shape"), [(F.dropout1d, (3, 5)), (F.dropout3d, (3, 5, 2, 2))])
def test_without_a_batch_the_first_dimension_holds_the_channels(drop, shape):
    x, supply = torch.ones(shape), Supply()
    with Rewriting(None, supply):
        dropped = drop(x, 0.5)
    assert [tuple(u.shape) for u in supply.given] == [(1, 3)]
    assert torch.equal(dropped.flatten(1).amax(1), dropped.flatten(1).amin(1))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_dropout_between_recurrent_layers_is_that_of_layers_stacked_by_hand(kind, bidirectional):
    torch.manual_seed(0)
    both = {"bidirectional": bidirectional, "batch_first": True}
    layer, x = kind(3, 4, num_layers=3, dropout=0.2, **both), normal(5, 6, 3)
    width = 8 if bidirectional else 4
    stacked = [kind(3 if not index else width, 4, **both) for index in range(3)]
    for index, one in enumerate(stacked):
        names = [(name, name.replace("_l0", f"_l{index}")) for name in one.state_dict()]
        one.load_state_dict({name: layer.state_dict()[other] for name, other in names})
    supply, again, states = Supply(), Supply(), []
    with Rewriting(None, supply):
        found, final = layer(x)
    by_hand = x
    for index, one in enumerate(stacked):
        by_hand, state = one(elementwise(by_hand, 0.2, again) if index else by_hand)
        states.append(state)
    torch.testing.assert_close(found, by_hand)
    assert [tuple(u.shape) for u in supply.given] == [(5, 6, width)] * 2
    parts = zip(*states, strict=True) if kind is nn.LSTM else [states]
    for value, each in zip(final if kind is nn.LSTM else (final,), parts, strict=True):
        torch.testing.assert_close(value, torch.cat(each))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_packed_sequence_is_refused(kind, dropout):
    layer, x = kind(3, 4, num_layers=2, dropout=dropout), nn.utils.rnn.pack_sequence([normal(5, 3), normal(2, 3)])
    for mode in (layer.train(), layer.eval()):
        with Rewriting(None, halves), pytest.raises(UnsupportedOperation, match="of a packed sequence"):
            mode(x)
