"""Pictures of the phone page and of the dashboard, from a real run: `python -m tests.web.pictures docs/pictures`.

Needs Chromium and the built page (`make web`). Eight devices take part: one phone in Chromium and seven in Python.
"""

import argparse
import tempfile
import time
from pathlib import Path

from fedrela.conformance.demo_shards import write_test_set
from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core.privacy import Privacy
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds, Task
from fedrela.emulator.evaluating import evaluated_rounds
from tests.web.browser import Browser, Tab, missing
from tests.web.place import KEY, Place
from tests.web.test_tabs import run_python

TASK = Task(
    "digits",
    12,
    local=LocalTraining(epochs=5, batch_size=8, hyperparameters={"lr": 0.03}),
    relabel=Relabel(start=0.8, threshold_percent=20.0, passes=2),
    round=Rounds(goal=8, retry_after_seconds=0.2),
    aggregation=Aggregation(weight_by_examples=False),
    privacy=Privacy("peers", group_target=8, group_minimum=8),  # all there are
)


def take(folder: Path, place: Place) -> None:
    """Run a task and photograph what people see."""
    task_id = place.publish(TASK)
    browser = Browser()
    try:
        phone = Tab(browser, "phone")
        phone.do("open", url=place.link())
        phone.do("wait", selector="#join")
        phone.do("picture", path=str(folder / "phone-consent.png"))
        phone.do("click", selector="#join")
        phone.do("wait", selector="#leave")
        phone.use_demo(5)
        phone.start()
        run_python(place, {number: bytes([number]) * 32 for number in (0, 1, 2, 3, 4, 6, 7)})
        while place.task(task_id)["committed_rounds"] < 8:
            time.sleep(0.2)
        phone.do("waitFor", code="() => /step/.test(document.querySelector('#doing').textContent)")
        phone.do("picture", path=str(folder / "phone-training.png"))
        operator = Tab(browser, "operator", viewport={"width": 960, "height": 720})
        operator.do("open", url=place.url + "/")
        operator.do("fill", selector="#admin_key", value=KEY)
        operator.do("click", selector="button.main")
        operator.do("wait", selector="#live table")
        evaluate(place, task_id)
        operator.do("open", url=f"{place.url}/dashboard/tasks/{task_id}")
        operator.do("waitFor", code="() => [...document.images].every((image) => image.naturalWidth > 0)")
        operator.do("picture", path=str(folder / "dashboard-task.png"))
    finally:
        browser.quit()


def evaluate(place: Place, task_id: str) -> None:
    """As `fedrela evaluate` does it, on digits that no device has."""
    with tempfile.TemporaryDirectory() as scratch:
        test = Path(scratch) / "test.npz"
        write_test_set(test)
        for _ in evaluated_rounds(place.admin, task_id, str(test), "0,1,2", "7,8,9"):
            pass


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.web.pictures", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    if reason := missing():
        raise SystemExit(f"no pictures: {reason}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        data.mkdir()
        place = Place(data, ROUNDS_BUNDLE)
        place.start()
        try:
            take(folder.resolve(), place)
        finally:
            place.stop()
    for path in sorted(folder.glob("*.png")):
        print(f"{path}  {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
