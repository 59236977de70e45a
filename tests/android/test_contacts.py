"""A Kotlin device looks up nobody, and connects to nobody but its coordinator."""

from pathlib import Path

from tests.android.device import KOTLIN
from tests.edge.test_contacts import check_contacts

pytestmark = KOTLIN


def test_a_kotlin_device_contacts_its_coordinator_and_nobody_else(tmp_path: Path) -> None:
    check_contacts("tests.android.closed_world", tmp_path)
