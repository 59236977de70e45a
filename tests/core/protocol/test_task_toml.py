"""What an operator is shown of a task's settings would publish the same task again."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from fedrela.core import task as task_file
from fedrela.core.privacy import Privacy
from fedrela.core.protocol import requirements, task_toml
from fedrela.core.task import LocalTraining, Rounds, Task
from tests.core.protocol.test_task_json import TASKS

PRIVACIES = st.sampled_from([Privacy(), Privacy("none"), Privacy("peers"), Privacy("peers", clipped_share=0.3)])


@given(TASKS, PRIVACIES)
def test_it_is_read_as_the_very_task(task: Task, privacy: Privacy) -> None:
    shown = dataclasses.replace(task, privacy=privacy)
    assert task_file.from_toml(task_toml.text(shown)) == shown


def test_a_small_cohort_and_the_mode_are_always_there() -> None:
    text = task_toml.text(Task("t", 6, round=Rounds(goal=1, smallest_cohort=1), privacy=Privacy("none")))
    assert "goal = 1\nsmallest_cohort = 1\n" in text
    assert 'secure = "none"' in text


def test_what_older_clients_would_overlook_is_required_again() -> None:
    local = LocalTraining(lr_schedule="cosine", hyperparameters={"lr": 0.5})
    task = Task("t", 6, local=local, requires=(requirements.LR_SCHEDULE,))
    assert task_file.from_toml(task_toml.text(task)) == task
