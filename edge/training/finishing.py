"""The end of a client round: a change of weights as the body that is sent, or as the vector that a group hides."""

from fedrela.core import encodings, tensors
from fedrela.core.secure import secure_tasks
from fedrela.core.tensors import Params
from fedrela.core.wire import EvaluationReport, UpdateMetadata
from fedrela.edge.network.fetch import Job
from fedrela.edge.secure import vector
from fedrela.edge.storage import state
from fedrela.edge.storage.store import Store
from fedrela.edge.training.local_round import LocalRound


def plain(job: Job, local: LocalRound, change: Params, samples: int, store: Store) -> bytes:
    """The update's body. What its encoding drops is kept in `store` before anything is sent."""
    aggregation, manifest = local.task.aggregation, job.engine.manifest
    residual = None
    if aggregation.encoding == "top-k":
        residual = state.load_residual(store, job.assignment.task_id, manifest.parameters)
    body, dropped = encodings.encode(
        change,
        UpdateMetadata(samples, aggregation.encoding),
        stream=local.stream("encode"),
        statistics=manifest.statistics,
        residual=residual,
        top_k_fraction=aggregation.top_k_fraction,
    )
    if dropped:
        store.put("assignment/residual", tensors.to_bytes(dropped))
    return body


def hidden(job: Job, local: LocalRound, change: Params, samples: int, evaluation: EvaluationReport | None) -> bytes:
    """The vector, kept in place of a body: it is never sent as it is. An evaluation goes inside."""
    extras = vector.extras_of(local.task, samples, evaluation)
    layout = secure_tasks.layout(local.task, job.engine.manifest, job.assignment.clip_millionths)
    words = vector.of(change, job.engine.manifest, layout, extras, local.stream("encode"))
    return vector.to_bytes(words)
