"""The work of `benchmarks.emulator` in Flower's simulation (Ray backend), in an environment of its own.

ENV/bin/python benchmarks/fleets/flower.py ray 1000 100 10     (prints the seconds of the rounds)

Torch and scikit-learn are lent by the environment that LENT_SITE names, if they aren't installed in this one.
"""

import os
import sys
import time

if os.environ.get("LENT_SITE"):
    sys.path.append(os.environ["LENT_SITE"])

import numpy as np
import torch
import torch.nn.functional as F
from flwr.client import ClientApp, NumPyClient
from flwr.common import ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.fleets.loops import BATCH, EPOCHS, RATE, SAMPLES, data
from examples.digits import build

DEVICES, COHORT, ROUNDS = map(int, sys.argv[2:5])
TIMES = []


class Client(NumPyClient):
    """One device's local training."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def fit(self, parameters, config):
        torch.set_num_threads(1)
        model = build()
        keys = list(model.state_dict())
        model.load_state_dict({key: torch.tensor(value) for key, value in zip(keys, parameters, strict=True)})
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
        for _ in range(EPOCHS):
            order = torch.randperm(SAMPLES)
            for begin in range(0, SAMPLES, BATCH):
                rows = order[begin : begin + BATCH]
                optimizer.zero_grad()
                F.cross_entropy(model(self.x[rows]), self.y[rows]).backward()
                optimizer.step()
        return [value.numpy() for value in model.state_dict().values()], SAMPLES, {}


def client_fn(context):
    """The client of a virtual node."""
    x, y = data(DEVICES)
    device = int(context.node_config["partition-id"])
    return Client(x[device], y[device]).to_client()


class Timed(FedAvg):
    """FedAvg that notes when each round begins and ends."""

    def configure_fit(self, server_round, parameters, client_manager):
        TIMES.append(time.perf_counter())
        return super().configure_fit(server_round, parameters, client_manager)

    def aggregate_fit(self, server_round, results, failures):
        aggregated = super().aggregate_fit(server_round, results, failures)
        TIMES.append(time.perf_counter())
        return aggregated


def server_fn(context):
    """FedAvg on a cohort, without evaluation."""
    start = ndarrays_to_parameters([np.asarray(value) for value in build().state_dict().values()])
    strategy = Timed(
        fraction_fit=COHORT / DEVICES, min_fit_clients=COHORT, min_available_clients=DEVICES,
        fraction_evaluate=0.0, initial_parameters=start,
    )  # fmt: skip
    return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=ROUNDS))


if __name__ == "__main__":
    run_simulation(
        server_app=ServerApp(server_fn=server_fn),
        client_app=ClientApp(client_fn=client_fn),
        num_supernodes=DEVICES,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
    print(TIMES[-1] - TIMES[0])
