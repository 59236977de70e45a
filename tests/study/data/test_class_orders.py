"""Which class is rare is drawn by the seed alone, and nothing but the numbers of classes changes."""

from pathlib import Path

import numpy as np

from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.data.shards import deal
from fedrela.study.config import Setting
from fedrela.study.data import class_orders
from fedrela.study.data.prepared import Prepared
from fedrela.study.runs import fleet

Y = np.arange(200) % 10
PREPARED = Prepared(Dataset(Y[:, None], Y, Y[:20, None], Y[:20], 10), Path("none"), "d")


def test_orders_differ_by_seed_and_hold_every_class_once():
    orders = [class_orders.order(10, seed=seed).tolist() for seed in (1, 2, 3)]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(10)) for order in orders)


def test_the_first_class_of_the_order_becomes_the_commonest_and_the_samples_stay():
    order, dataset = class_orders.order(10, seed=2), class_orders.drawn(PREPARED, 2).dataset
    assert (order[dataset.y] == Y).all()  # a sample's own class is that of its place in the order
    assert (order[dataset.y_test] == Y[:20]).all()
    assert (dataset.x == PREPARED.dataset.x).all()
    shards = deal(fleet.scenario(Setting("a", imbalance=10, devices=2), 2), dataset)
    held = np.bincount(Y[shards.pool], minlength=10)
    assert held[order].tolist() == sorted(held.tolist(), reverse=True) == shards.class_counts.tolist()
