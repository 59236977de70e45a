"""Cases of `http.json` in which blobs, tasks, manifests, programs, leases or the client itself come to grief."""

from typing import Any

from fedrela.conformance.server.cases import Answer, Case, Right, SealFault

PROGRAMS = ("train_step", "predict", "relabel")
LONG = {"local": {"max_steps": 0, "epochs": 250}}  # 2000 steps: there is time to kill whoever trains
ROUND_OVER_SECONDS = 3.0
SHORT_LEASE = {"compute_lease_seconds": 2.0, "upload_lease_seconds": 0.0}


def cases() -> tuple[Case, ...]:
    """All of them."""
    return (*_downloads(), *_refusals(), *_hostile_manifests(), *_leases(), *_kills())


def _right(*log: str) -> tuple[Right, ...]:
    return (Right(("enroll", "check-in", *log)),)


def _failed(name: str, about: str, code: str, **values: Any) -> Case:
    return Case(name, f"{about}: {code}.", _right(f"failure:{code}"), **values)


def _spoilt(name: str, about: str, code: str, blob: str) -> Case:
    return _failed(name, about, code, blobs={blob: {"text": "no tensors"}})


def _downloads() -> tuple[Case, ...]:
    blob = "blob:checkpoint"
    cut = Answer("cut", fault="cut", keep_bytes=3000)
    changed = Answer("changed", fault="changed")
    return (
        Case(
            "blob-cut",
            "A download that breaks off goes on with Range, from what has arrived.",
            _right(f"{blob}:cut", f"{blob}:range", "update"),
            {blob: (cut,)},
        ),
        Case(
            "blob-begins-elsewhere",
            "A 206 that doesn't begin where it was asked to is thrown away; the download starts anew.",
            _right(f"{blob}:cut", f"{blob}:range:elsewhere", blob, "update"),
            {blob: (cut, Answer("elsewhere", fault="elsewhere"))},
        ),
        Case(
            "blob-range-refused",
            "After a 416 the download starts anew.",
            _right(f"{blob}:cut", f"{blob}:range:416", blob, "update"),
            {blob: (cut, Answer("416", 416, {"Content-Range": "bytes */10"}))},
        ),
        Case(
            "blob-without-ranges",
            "A 200 where a range was asked for is the whole blob.",
            _right(f"{blob}:cut", f"{blob}:range:whole", "update"),
            {blob: (cut, Answer("whole", fault="whole"))},
        ),
        Case(
            "blob-changed-twice",
            "A blob that doesn't match its hash is fetched again.",
            _right(f"{blob}:changed", f"{blob}:changed", blob, "update"),
            {blob: (changed, changed)},
        ),
        Case(
            "blob-changed",
            "A blob that doesn't match its hash three times is wrong at its source: integrity-failed.",
            _right(*[f"{blob}:changed"] * 3, "failure:integrity-failed"),
            {blob: (changed, changed, changed)},
        ),
        Case(
            "blob-longer",
            "A blob that is longer than announced is read no further: integrity-failed.",
            _right(f"{blob}:longer", "failure:integrity-failed"),
            {blob: (Answer("longer", fault="longer"),)},
        ),
    )


SEALS: tuple[tuple[SealFault, str], ...] = (
    ("missing", "A program that no publisher has signed is not fetched"),
    ("another-publisher", "A program of a publisher that the link doesn't name is not fetched"),
    ("another-program", "A publisher's signature over another program vouches for nothing"),
    ("forged", "A publisher's signature that is none vouches for nothing"),
)


def _unsealed(fault: SealFault, about: str) -> Case:
    unasked: dict[str, tuple[Answer, ...]] = {"blob:task": (), "blob:manifest": (), "blob:checkpoint": ()}
    return _failed(f"seal-{fault}", about, "integrity-failed", seal=fault, script=unasked)


def _refusals() -> tuple[Case, ...]:
    pte = tuple(((name, "files", 0, "runtime"), "executorch") for name in PROGRAMS)
    newer = tuple(((name, "files", 0, "min_runtime_version"), "999.0") for name in PROGRAMS)
    return (
        Case(
            "forged-signature",
            "An assignment that the pinned key did not sign is not looked into: integrity-failed.",
            _right("keys", "failure:integrity-failed"),
            assignment={"signature": "00" * 64},
            script={"blob:task": (), "blob:manifest": (), "blob:checkpoint": ()},
        ),
        *(_unsealed(*fault) for fault in SEALS),
        _failed(
            "task-too-long",
            "A task of more than 1 000 000 bytes",
            "integrity-failed",
            blobs={"task": {"pad_bytes": 1_100_000}},
        ),
        _failed(
            "task-malformed", "A task that is none", "training-failed", blobs={"task": {"text": '{"name":"digits"}'}}
        ),
        _failed("task-beyond-limits", "A value beyond its limits", "training-failed", task={"local": {"epochs": 0}}),
        _failed(
            "task-requires",
            "The task requires what the client doesn't know",
            "not-eligible",
            task={"requires": ["telepathy"]},
        ),
        _failed(
            "manifest-requires",
            "The manifest requires what the client doesn't know",
            "not-eligible",
            manifest=((("requires",), ["telepathy"]),),
        ),
        Case(
            "other-runtime",
            "The programs are for ExecuTorch alone. A client without it: not-eligible.",
            (*_right("failure:not-eligible"), *_right("failure:training-failed")),
            manifest=pte,
        ),
        _failed("newer-runtime", "The programs need a newer runtime", "not-eligible", manifest=newer),
        _failed(
            "program-unreadable",
            "A program that the runtime can't load",
            "not-eligible",
            blobs={"train_step": {"text": "no program"}},
        ),
        _failed(
            "golden-wrong",
            "The golden steps give other outputs",
            "self-test-failed",
            blobs={"golden": {"tensor": "predict.0.probabilities", "add": 0.5}},
        ),
        _spoilt("golden-unreadable", "The golden outputs can't be compared", "self-test-failed", "golden"),
        _failed(
            "checkpoint-too-large",
            "More bytes are announced than the model's weights can take; none is fetched",
            "integrity-failed",
            assignment={"checkpoint_bytes": 200_000},
            script={"blob:checkpoint": ()},
        ),
        _spoilt("checkpoint-unreadable", "Weights that are none", "training-failed", "checkpoint"),
        _failed(
            "model-unusable",
            "Weights so large that the model predicts no numbers on the golden inputs",
            "model-unusable",
            blobs={"checkpoint": {"tensor": "9.weight", "fill": 3e38}},
        ),
        _failed(
            "too-few-examples",
            "The task asks for more examples",
            "not-eligible",
            task={"eligibility": {"min_examples": 1_000_000}},
        ),
    )


def _hostile_manifests() -> tuple[Case, ...]:
    edits: dict[str, tuple[tuple[Any, ...], Any]] = {
        "role": (("train_step", "inputs", 25, "role"), "weight"),  # nothing is y
        "dtype": (("train_step", "inputs", 0, "dtype"), "complex64"),
        "shape": (("train_step", "inputs", 0, "shape"), [0, 1, 3, 3]),
        "size": (("train_step", "inputs", 0, "shape"), [2**31 - 1, 2**31 - 1]),
        "hash": (("predict", "files", 0, "sha256"), ""),
        "path": (("golden", "path"), "../../golden.safetensors"),
        "outputs": (("predict", "outputs"), []),
    }
    return tuple(
        _failed(
            f"hostile-manifest-{name}",
            f"A manifest that breaks a rule ({name}) is refused before a runtime sees it",
            "training-failed",
            manifest=(edit,),
            script={f"blob:{program}": () for program in PROGRAMS},
        )
        for name, edit in edits.items()
    )


def _leases() -> tuple[Case, ...]:
    killed = Answer("killed", fault="killed")
    other = Answer("other", members={"assignment": {"assignment_id": "assignment-2", "compute_lease_seconds": 300.0}})
    return (
        _failed(
            "lease-over-while-training",
            "The lease ends before the last step",
            "timed-out",
            assignment={"compute_lease_seconds": 0.0, "upload_lease_seconds": 0.0},
        ),
        Case(
            "lease-over-same-assignment",
            "Started again after its lease, a client checks in. It gets the same assignment and goes on.",
            _right("blob:task:killed", "check-in:again", "blob:task", "update"),
            {"blob:task": (killed,), "check-in": (Answer(), Answer("again", members=_longer()))},
            assignment=SHORT_LEASE,
            start_again_seconds=ROUND_OVER_SECONDS,
        ),
        Case(
            "lease-over-other-assignment",
            "Started again after its lease, a client checks in. It gets another one and begins anew.",
            _right("blob:task:killed", "check-in:other", "blob:task", "update"),
            {"blob:task": (killed,), "check-in": (Answer(), other)},
            assignment=SHORT_LEASE,
            start_again_seconds=ROUND_OVER_SECONDS,
        ),
    )


def _longer() -> dict[str, Any]:
    return {"assignment": {"compute_lease_seconds": 300.0, "upload_lease_seconds": 60.0}}


def _kills() -> tuple[Case, ...]:
    killed = Answer("killed", fault="killed")
    return (
        Case(
            "killed-after-assignment",
            "Killed while it fetches, a client goes on with the assignment that it kept.",
            _right("blob:task:killed", "blob:task", "update"),
            {"blob:task": (killed,)},
        ),
        Case(
            "killed-after-update",
            "Killed while its update is stored, a client sends the same bytes again.",
            _right("update:killed", "update"),
            {"update": (killed,)},
        ),
        Case("long-round", "2000 steps, for the next case.", _right("update"), task=LONG, update="any"),
        Case(
            "killed-between-steps",
            "Killed in the middle of training and started again, a client sends the bytes that it sends undisturbed.",
            _right("update"),
            task=LONG,
            update="same as long-round",
            kill_after_steps=500,
        ),
    )
