"""`/readyz` is honest: a database that can't be written to, or a store that doesn't answer, is not ready."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fedrela.coordinator.api import readiness
from fedrela.coordinator.storage import engines, schema
from fedrela.coordinator.storage.blobs import FolderBlobs
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import House, house_with, settings_for
from tests.patience import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question has a probe of its own."""
    monkeypatch.setattr(readiness, "FRESH_SECONDS", -1.0)


def test_it_leaves_nothing_behind(any_house: House) -> None:
    assert any_house.http.get("/readyz").json() == {"status": "ready"}
    with any_house.coordinator.store.read() as view:
        assert view.scalar(sa.select(sa.func.count()).select_from(schema.probes)) == 0


def test_a_locked_database_is_not_ready(tmp_path: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.3)
    with house_with(settings_for(tmp_path / "data"), bundle_folder) as house:
        other = sqlite3.connect(tmp_path / "data" / "coordinator.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert "locked" in check_problem(house.http.get("/readyz"), 503, "unavailable")["detail"]
        other.execute("ROLLBACK")
        other.close()
        assert house.http.get("/readyz").status_code == 200


def test_a_full_database_is_not_ready(house: House) -> None:
    def limit(connection: Any, record: Any, proxy: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    engine = house.coordinator.store._engine
    sa.event.listen(engine, "checkout", limit)
    assert "full" in check_problem(house.http.get("/readyz"), 503, "unavailable")["detail"]
    sa.event.remove(engine, "checkout", limit)
    engine.dispose()
    assert house.http.get("/readyz").status_code == 200


def test_a_store_that_does_not_answer_is_not_ready_and_holds_nobody_for_long(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.2)
    answers = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(FolderBlobs, "size", lambda *_: answers.wait(PATIENCE_SECONDS))
        detail = check_problem(house.http.get("/readyz"), 503, "unavailable")["detail"]
        assert "did not answer" in detail
        answers.set()
