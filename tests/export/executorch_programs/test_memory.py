"""Memory is planned as the package plans it, value by value."""

from types import SimpleNamespace

import pytest
from executorch.exir.memory_planning import greedy
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.export.executorch_programs import memory


class Spec:
    """What a plan asks of a value."""

    def __init__(self, size, first, length):
        self.size, self.lifetime = size, [first, first + length]
        self.mem_id = self.inplace_base = None
        self.alignment = 1

    @property
    def allocated_memory(self):
        """In bytes."""
        return -(-self.size // self.alignment) * self.alignment

    def realign(self, alignment):
        """The same from now on for another alignment."""
        self.alignment = alignment
        return self.allocated_memory


def planned(algorithm, values):
    """The sizes of the arenas, and what is known of each value."""
    specs = [Spec(*value) for value in values]
    result = algorithm(16, specs, SimpleNamespace(), None, 0)
    return result.bufsizes, [result.spec_dict[spec] for spec in specs]


@settings(derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30), st.integers(0, 12)), max_size=40))
def test_the_plan_is_the_packages(values):
    assert planned(memory.plan, values) == planned(greedy, values)


@pytest.mark.parametrize("shared", ["inplace_base", "mem_id"])
def test_values_that_share_memory_are_left_to_the_package(shared, monkeypatch):
    spec = Spec(8, 0, 1)
    setattr(spec, shared, Spec(8, 0, 1) if shared == "inplace_base" else 1)
    monkeypatch.setattr(memory, "greedy", lambda *arguments: "theirs")
    assert memory.plan(16, [spec], SimpleNamespace(), None, 0) == "theirs"
