"""The example that embeds a device, run as it is written, on the small bundle's data."""

import threading
from pathlib import Path

import pytest

from examples import embedding
from fedrela.core.bundle import Bundle
from fedrela.core.task import Relabel, Rounds
from tests.edge.conftest import some_examples
from tests.edge.live import coordinator, small_task
from tests.patience import PATIENCE_SECONDS


def test_the_example_enrolls_trains_and_stops(
    tmp_path: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(embedding, "my_examples", lambda manifest: some_examples())
    with coordinator(tmp_path / "coordinator") as live:
        task_id = live.publish(
            small_bundle, small_task(rounds=2, relabel=Relabel(start=2), round=Rounds(goal=1, smallest_cohort=1))
        )
        link = live.link()
        client = embedding.join(link, tmp_path / "state")
        worker = threading.Thread(target=client.run)
        worker.start()
        live.wait(lambda: live.committed(task_id) == 2)
        client.stop.set()
        worker.join(PATIENCE_SECONDS)
        assert not worker.is_alive()
        again = embedding.join(link, tmp_path / "state")  # the link is used up, and the device is enrolled
        assert again.identity == client.identity
    assert "round 2: uploaded" in capsys.readouterr().out


def test_the_examples_data_are_what_it_says(small_bundle: Bundle) -> None:
    examples = embedding.my_examples(small_bundle.manifest)
    assert examples.x["x"].shape == (120, 1, 8, 8)
    assert set(examples.y.tolist()) == {0, 1, 2, 3}
