"""The whole walk in one command: `make demo`, or `python -m examples.demo`.

Every step is a verb of `fedrela` that you could type yourself; the demo prints it before it runs. Twelve emulated
devices hold scikit-learn's digits, long-tailed (50:1) and so unevenly spread (Dirichlet, alpha 0.1) that most devices
have never seen most classes. Federated averaging trains on them with and without FedReLa's re-labeling, from the same
start weights and the same random draws, with the same learning rates: the only difference is the re-labels.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from examples import leak
from fedrela.core.errors import FedRelaError
from fedrela.emulator.connections.local_coordinator import throwaway_folder

FOLDER = Path("runs/demo")
SEEDS = (1, 2, 3)

# What the devices of the fleet hold. `fedrela emulate` reads this file.
FLEET = """\
name = "digits"
devices = 12
seed = {seed}

[data]
dataset = "digits"          # 8x8 pixels, ten classes
profile = "exponential"     # long-tailed: class 0 has 134 training samples, class 9 has 2
imbalance = 50
split = "dirichlet"
alpha = 0.1                 # whole classes are missing on many devices
"""

# What the coordinator runs. `fedrela publish` reads this file.
TASK = """\
name = "{name}"
population = "{name}"
rounds = 50
seed = {seed}               # of shuffles and draws: the same for both methods

[local]
epochs = 5                      # local training as in the paper: five epochs in batches of eight
batch_size = 8
hyperparameters = {{ lr = 0.05, momentum = 0.9 }}

[relabel]
start = 0.8                     # after 80 % of the rounds, each device re-labels some of its own data once:
threshold_percent = {threshold}         # per rare class, at most this share of it; at 0 nothing is re-labeled: FedAvg
lr_scale = 0.1                  # from then on the learning rate is a tenth, for both methods

[round]
goal = 12                       # updates that make a round

[privacy]
secure = "none"                 # plain rounds, as in the paper; left out, only sums of groups could be read
"""

# One round of the same fleet in which the coordinator gets sums alone: the default, but for the size of a group.
SECURE_TASK = """\
name = "secure-{seed}"
population = "secure-{seed}"
rounds = 1
seed = {seed}

[local]
epochs = 5
batch_size = 8
hyperparameters = {{ lr = 0.05, momentum = 0.9 }}

[relabel]
enabled = false

[round]
goal = 12

[privacy]
secure = "peers"
group_target = 12
group_minimum = 12              # all there are; 14 and more where a task doesn't say
"""

# Name in the table, and threshold: 5 % in the paper, but a device here holds some thirty samples, of which that is one.
METHODS = {"fedavg": ("FedAvg", 0.0), "fedrela": ("FedAvg + FedReLa", 10.0)}


def main() -> int:
    """Run every stage; the exit status is 0 only if all of them succeeded."""
    started = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    bundle = FOLDER / "bundle"
    try:
        step(
            "1. Export a small CNN's training step, prediction and re-labeling as ONNX programs, proven against PyTorch"
        )
        model = ("examples.digits:build", "--input", "uint8:1x8x8", "--classes", "10")
        fedrela("export", *model, "--mean", "0.305", "--std", "0.376", "--out", str(bundle), quiet=True)
        step("2. Start the coordinator")
        with throwaway_folder() as data, Coordinator(data):  # nothing of it is wanted once the runs are recorded
            step("3. Publish each task, and train it with a fleet of twelve emulated devices")
            runs = [train(bundle, method, seed) for seed in SEEDS for method in METHODS]
            step("4. What could that coordinator read of one device? And one of secure rounds, the default?")
            files = with_secure_round(bundle, SEEDS[0])
        print("\n".join(leak.lines(files)))
        step("5. Report")
        fedrela("report", *map(str, sorted(runs)), "--out", str(FOLDER / "report"))
    except (Failed, FedRelaError) as failure:
        print(f"\nthe demo failed: {failure}", file=sys.stderr)
        return 1
    print(f"\nThe demo took {time.monotonic() - started:.0f} s.")
    return 0


def train(bundle: Path, method: str, seed: int) -> Path:
    """Publish one task and let its fleet train it; the folder of the run."""
    label, threshold = METHODS[method]
    name = f"{method}-{seed}"
    fleet, task, run = FOLDER / f"fleet-{seed}.toml", FOLDER / f"{name}.toml", FOLDER / name
    fleet.write_text(FLEET.format(seed=seed), encoding="utf-8")
    task.write_text(TASK.format(name=name, seed=seed, threshold=threshold), encoding="utf-8")
    fedrela("publish", str(bundle), str(task))
    fedrela("emulate", str(fleet), "--task", name, "--label", label, "--out", str(run), quiet=True)
    return run


def with_secure_round(bundle: Path, seed: int) -> leak.Files:
    """Train the fleet's first round once more, with secure rounds, and fetch what it gave both times."""
    secure, task = f"secure-{seed}", FOLDER / f"secure-{seed}.toml"
    task.write_text(SECURE_TASK.format(seed=seed), encoding="utf-8")
    fleet, plain = FOLDER / f"fleet-{seed}.toml", f"fedavg-{seed}"
    fedrela("publish", str(bundle), str(task))
    fedrela("emulate", str(fleet), "--task", secure, "--out", str(FOLDER / secure), quiet=True)
    models = {name: FOLDER / f"{name}-round-1.safetensors" for name in (plain, secure)}
    for name, path in models.items():
        fedrela("task", "download", name, str(path), "--round", "1", quiet=True)
    return leak.Files(bundle, fleet, FOLDER / f"{plain}.toml", models[plain], models[secure])


class Failed(Exception):
    """A stage did not succeed."""


class Coordinator:
    """`fedrela serve` in the background, for as long as the context lasts."""

    def __init__(self, data: Path) -> None:
        self._log = (FOLDER / "coordinator.log").open("wb")
        port = free_port()
        os.environ["FEDRELA_URL"] = f"http://127.0.0.1:{port}"  # `publish` and `emulate` read these two
        os.environ["FEDRELA_ADMIN_KEY"] = os.urandom(32).hex()
        self._process = start("serve", "--dev", "--port", str(port), "--data", str(data), log=self._log)

    def __enter__(self) -> "Coordinator":
        try:
            for _ in range(600):
                if self._process.poll() is None and answers(os.environ["FEDRELA_URL"] + "/readyz"):
                    return self
                time.sleep(0.1)
            raise Failed(f"the coordinator did not start; see {FOLDER / 'coordinator.log'}")
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def fedrela(*arguments: str, quiet: bool = False) -> None:
    """Run one verb as a person would. `quiet` hides its result, not its progress. Raises Failed."""
    show(arguments)
    output = subprocess.DEVNULL if quiet else None
    done = subprocess.run([sys.executable, "-m", "fedrela", *arguments], stdout=output, check=False)
    if done.returncode:
        raise Failed(f"`fedrela {arguments[0]}` ended with status {done.returncode}")


def start(*arguments: str, log: object) -> "subprocess.Popen[bytes]":
    """Start one verb in the background."""
    show(arguments)
    command = [sys.executable, "-m", "fedrela", *arguments]
    return subprocess.Popen(command, stdout=log, stderr=log)  # type: ignore[call-overload, no-any-return]


def show(arguments: tuple[str, ...]) -> None:
    """Print a command before it runs."""
    print(f"$ fedrela {' '.join(f'{word!r}' if ' ' in word else word for word in arguments)}", flush=True)


def step(text: str) -> None:
    """Print a headline."""
    print(f"\n{text}", flush=True)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Does the server say 200?"""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the coordinator is ended too
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
