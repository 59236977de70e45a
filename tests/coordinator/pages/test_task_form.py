"""What an operator may type into the form of a new task."""

import pytest

from tests.coordinator.conftest import House

TASK_FORMS = {
    "nested arrays": "a=" + "[" * 5000,
    "rounds beyond every number": 'name="x"\nrounds=' + "9" * 30,
    "slots beyond every number": 'name="x"\nrounds=5\n[round]\ngoal=999999\nover_selection=1e308',
    "a seed beyond every text": 'name="x"\nrounds=5\nseed=0x' + "f" * 5000,
    "a start beyond every text": 'name="x"\nrounds=5\n[relabel]\nstart=0x' + "f" * 5000,
    "a name that is a number beyond every text": "rounds=5\nname=0x" + "f" * 5000,
    "rounds beyond every text": 'name="x"\nrounds=0x' + "f" * 5000,
    "more digits than TOML's reader takes": 'name="x"\nrounds=' + "9" * 5000,
    "a goal of a trial beyond every text": 'name="x"\nrounds=5\n[round]\ngoal=0x' + "f" * 5000,
    "a goal beyond every number": 'name="x"\nrounds=5\n[round]\ngoal=' + "9" * 30,
}


@pytest.mark.parametrize("form", TASK_FORMS)
def test_a_task_form_that_is_nonsense_is_refused_and_devices_never_notice(house: House, form: str) -> None:
    like = house.publish(1, goal=2)
    house.http.post("/login", data={"admin_key": house.settings.admin_key}, follow_redirects=False)
    fields = {"toml": TASK_FORMS[form], "like": like, "weights": "initial"}
    assert house.http.post("/dashboard/tasks", data=fields).status_code == 400
    assert len(house.operator.call("GET", "/tasks")) == 1
    assert all(device.join()["task_id"] == like for device in house.devices(2))
