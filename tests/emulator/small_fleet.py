"""The small fleet's scenario, and what a run of it has written."""

SCENARIO = """
name = "small"
devices = 9
[data]
dataset = "small.npz"
imbalance = 4
alpha = 0.5
[task]
name = "small"
rounds = 4
[task.local]
epochs = 2
batch_size = 4
hyperparameters = { lr = 0.2, momentum = 0.5 }
[task.relabel]
start = 3
threshold_percent = 20
[task.round]
goal = 5
minimum = 2
deadline_seconds = 100
compute_lease_seconds = 40
upload_lease_seconds = 10
[task.privacy]
secure = "none"
[[device]]
name = "quick"
speed_spread = 0.5
[[device]]
name = "slow"
share = 0.5
steps_per_second = 3
latency_seconds = 0.3
"""


def logs(run):
    return [(run.folder / name).read_bytes() for name in ("events.jsonl", "rounds.jsonl")]
