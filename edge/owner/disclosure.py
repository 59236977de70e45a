"""Everything that left the device, for its owner to read: what `fedrela device show-upload` prints."""

import json
from datetime import datetime
from typing import Any

from fedrela.core import tensors
from fedrela.core.secure import masked_body
from fedrela.edge.storage import sent_log
from fedrela.edge.storage.store import Store

MASKED = "update: masked; by itself it is noise, and only the sum of the whole group can be read"
MOST_LISTED = 20  # requests; --json has them all
NEVER = (
    "never sent: a label, a count of a class or of re-labels, a file's name, a sample",
    "sent in a plain task: the number of all examples, with each update; in a secure one it is not",
    "tokens are not shown",
)
MESSAGES = {
    "devices": "enrollment: this device's public key, and a proof that it holds the private one",
    "check-ins": "check-in: offered to work",
    "update": "update: the weight change",
    "keys": "group, keys: new ones for one sum, signed by this device",
    "shares": "group, shares: sealed for the other devices; the coordinator can't open them",
    "agreement": "group, agreement: who is left, signed by this device",
    "reveal": "group, reveal: shares that open the sum of all and no single update",
    "failure": "failure: gave an assignment back",
    "evaluation": "evaluation: totals over the hold-out",
}


def describe(store: Store, *, values: bool = False) -> dict[str, Any]:
    """The log and the newest message of each kind; with `values` every number of the update."""
    messages: dict[str, Any] = {}
    for kind in MESSAGES:
        body = store.get(f"last/{kind}")
        if body:  # 0.2.0 kept questions that have no body, too
            messages[kind] = _update(body, values) if kind == "update" else json.loads(body)
    return {"requests": sent_log.lines(store), "messages": messages}


def _update(body: bytes, values: bool) -> dict[str, Any]:
    arrays = tensors.read(body)
    return {
        "bytes": len(body),
        "metadata": tensors.read_metadata(body),
        "tensors": [
            {
                "name": name,
                "shape": list(array.shape),
                "dtype": array.dtype.name,
                "least": float(array.min()) if array.size else None,
                "most": float(array.max()) if array.size else None,
                **({"values": array.reshape(-1).tolist()} if values else {}),
            }
            for name, array in arrays.items()
        ],
    }


def _title(kind: str, message: dict[str, Any]) -> str:
    masked = kind == "update" and message["metadata"].get("encoding") == masked_body.ENCODING
    return MASKED if masked else MESSAGES[kind]


def render(disclosure: dict[str, Any]) -> str:
    """The same as text."""
    requests = disclosure["requests"]
    shown = requests[-MOST_LISTED:]
    others = f": the last {len(shown)} of {len(requests)} (all of them: --json)" if len(shown) < len(requests) else ""
    lines = [f"{len(requests)} requests were sent or tried{others}"]
    for request in shown:
        at = datetime.fromtimestamp(float(request["at"])).isoformat(sep=" ", timespec="seconds")
        lines.append(f"  {at}  {request['method']:6} {request['path']}  {request['bytes']} bytes")
    if not disclosure["messages"]:
        lines.append("no message body has been sent yet")
    for kind, message in disclosure["messages"].items():
        lines += ["", _title(kind, message)]
        if kind != "update":
            lines += [f"  {key:18} {value}" for key, value in message.items()]
            continue
        lines.append(f"  {message['bytes']} bytes; metadata {message['metadata']}")
        for tensor in message["tensors"]:
            span = f"{tensor['least']:.3g} to {tensor['most']:.3g}" if tensor["least"] is not None else "empty"
            lines.append(f"  {tensor['name']:32} {tensor['dtype']:8} {tensor['shape']!s:18} {span}")
            if "values" in tensor:
                lines.append("    " + " ".join(f"{value:.9g}" for value in tensor["values"]))
    lines += ["", *NEVER]
    return "\n".join(lines)
