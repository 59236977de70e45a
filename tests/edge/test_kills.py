"""SIGKILL at random instants: the update is bit-identical. `python -m benchmarks.device_kills` does it 200 times."""

from pathlib import Path

from benchmarks.device_kills import PLACES, survive
from fedrela.core.bundle import Bundle
from tests.edge.conftest import some_examples
from tests.edge.live import coordinator


def test_a_killed_device_uploads_the_same_bytes(tmp_path: Path, small_bundle: Bundle) -> None:
    examples = some_examples(200)
    with coordinator(tmp_path / "coordinator") as live:
        tally = survive(small_bundle.folder, live.admin, tmp_path, examples.x["x"], examples.y, kills=14, seed=3)
    assert tally.kills == 14
    assert tally.identical_updates == tally.identical_models == tally.rounds >= 1
    assert tally.resumed_from_a_checkpoint >= 1
    assert sum(tally.places.values()) == 14
    assert sum(tally.places[place] > 0 for place in PLACES) >= 4  # the least hit place that lies ahead comes first
