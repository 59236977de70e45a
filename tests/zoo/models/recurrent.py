"""Nets with a state of their own: spiking ones, liquid ones, a differential equation, a state space."""

import torch
from torch import Tensor, nn

from tests.zoo.entries import CLASSES, Called, Entry, Headed

_MOTION = "float32:32x6"


class _Spiking(nn.Module):
    """Two layers of leaky neurons over the samples; the spikes that each class gave are the logits."""

    def __init__(self) -> None:
        super().__init__()
        import snntorch
        from snntorch import surrogate

        gradient = surrogate.fast_sigmoid(slope=5)
        self.first, self.second = nn.Linear(6, 24), nn.Linear(24, CLASSES)
        self.hidden = snntorch.Leaky(beta=0.9, spike_grad=gradient)
        self.out = snntorch.Leaky(beta=0.9, spike_grad=gradient, learn_beta=True)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, samples, 6); logits (B, CLASSES)."""
        one, other = self.hidden.init_leaky(), self.out.init_leaky()
        potentials = []
        for sample in x.unbind(1):
            spikes, one = self.hidden(self.first(sample), one)
            _, other = self.out(self.second(spikes), other)
            potentials.append(other)
        return torch.stack(potentials).mean(0)


def _liquid() -> nn.Module:
    from ncps.torch import CfC

    return Called(CfC(6, 16, proj_size=CLASSES), lambda net, x: net(x)[0][:, -1])


def _time_constants() -> nn.Module:
    from ncps.torch import LTC
    from ncps.wirings import AutoNCP

    return Called(LTC(6, AutoNCP(12, CLASSES), ode_unfolds=2), lambda net, x: net(x)[0][:, -1])


class _Flow(nn.Module):
    """dz/dt = f(z), by the classical Runge-Kutta method."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 16))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, 16), and what it has become at time 1."""
        from torchdiffeq import odeint

        times = torch.linspace(0.0, 1.0, 3)
        end: Tensor = odeint(lambda time, state: self.inside(state), x, times, method="rk4")[-1]
        return end


def _differential() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 16), _Flow(), nn.Linear(16, CLASSES))


def _mamba(parallel: bool) -> nn.Module:
    from mambapy.mamba import Mamba, MambaConfig

    body = Mamba(MambaConfig(d_model=16, n_layers=2, d_state=4, pscan=parallel))
    return Headed(nn.Sequential(nn.Embedding(200, 16), body), 16)


ENTRIES = (
    Entry("leaky neurons", "snntorch", "sensor", _Spiking, _MOTION),
    Entry("CfC", "ncps", "sensor", _liquid, _MOTION),
    Entry("neural ODE", "torchdiffeq", "tabular", _differential, "float32:12"),
    Entry("Mamba, scan in order", "mambapy", "text", lambda: _mamba(False), "int64:16:200"),
    Entry("LTC", "ncps", "sensor", _time_constants, "float32:8x6"),
    Entry("Mamba, parallel scan", "mambapy", "text", lambda: _mamba(True), "int64:16:200"),
)
