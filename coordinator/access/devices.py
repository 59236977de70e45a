"""Who may come in: devices and their enrollment; how they go is in `leaving.py`. Each operation is one transaction."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from fedrela.coordinator.access import auth
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.storage import rows, schema
from fedrela.core import signing, strict
from fedrela.core.errors import IntegrityError, InvalidMessage, Refused
from fedrela.core.protocol import signed_requests, statements
from fedrela.core.wire import CheckIn, EnrollRequest, EnrollResponse

_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
SEEN_SECONDS = 86400.0


@dataclass(frozen=True)
class OpenAssignment:
    """An assignment that a device has not ended yet; its lease may be over."""

    assignment_id: str
    task_id: str
    round: int
    compute_until: float
    expires_at: float


@dataclass(frozen=True)
class Device:
    """An authenticated device."""

    id: str
    public_key: str
    population: str
    last_assignment_at: float | None
    open_assignment: OpenAssignment | None = None
    seen_at: float = 0.0  # to within a day


@dataclass(frozen=True)
class Credentials:
    """What a request shows: the hash of its bearer token, and the public key that has signed it; empty: none."""

    token_hash: str
    signed_by: str

    def of(self, devices: Mapping[str, Device]) -> Device:
        """Their device, among those by hashed token. Raises Refused (401): the token alone is not enough."""
        device = devices.get(self.token_hash)
        if device is None:
            raise auth.unauthenticated()
        if device.public_key != self.signed_by:
            raise signed_requests.bad_signature()
        return device


# Built once: making a statement costs more than running it, and every request of a device runs this one.
_BY_TOKEN = (
    sa.select(
        *schema.devices.c["token_hash", "id", "public_key", "population", "last_assignment_at", "seen_at"],
        schema.assignments.c.id.label("assignment"),
        *schema.assignments.c["task_id", "round", "compute_until", "expires_at"],
    )
    .outerjoin(
        schema.assignments,
        sa.and_(schema.assignments.c.device_id == schema.devices.c.id, schema.assignments.c.status == "open"),
    )
    .where(schema.devices.c.revoked_at.is_(None))
)


def enroll(coordinator: Coordinator, request: EnrollRequest, now: float) -> EnrollResponse:
    """Use up one place of an enrollment token and register the device's key, of which the request is a proof.

    A device whose answer was lost repeats with the same key and token: it gets a new secret, and its place counts once.
    Once it has had an assignment it has its answer, and nothing is given for its key again.
    """
    _check_proof(coordinator, request)
    secret, table = auth.new_token(), schema.devices
    with coordinator.store.write() as tx:
        link = _valid_link(tx, request.enrollment_token, now)
        known = tx.execute(
            sa.select(table.c.id, table.c.last_assignment_at)
            .where(
                table.c.token_id == link.id,
                table.c.public_key == request.public_key,
                table.c.revoked_at.is_(None),
            )
            .order_by(table.c.enrolled_at.desc())
        ).first()
        if known is not None and known.last_assignment_at is not None:
            raise _enrolled_already()
        device_id = known.id if known is not None else auth.new_id("d")
        if known is not None:
            renewed = {"token_hash": auth.hash_token(secret), "certificate": _certificate(request)}
            tx.execute(sa.update(table).where(table.c.id == device_id).values(**renewed))
        else:
            _use_up(tx, link)
            _register(tx, device_id, request, secret, link, now)
    return EnrollResponse(device_id, secret, coordinator.settings.public_key, link.population)


def _check_proof(coordinator: Coordinator, request: EnrollRequest) -> None:
    """Raise InvalidMessage for no key, Refused for one that its sender doesn't hold, or for another's link."""
    if not _PUBLIC_KEY.fullmatch(request.public_key):
        raise InvalidMessage("public_key is not an Ed25519 key", remedy="send 64 lower-case hexadecimal digits")
    if request.coordinator not in coordinator.standing.fingerprints(coordinator.settings.public_key):
        raise Refused(
            "the link is of another coordinator",
            remedy="ask the operator for a new link (`fedrela token create`)",
            code="another-coordinator",
            status=403,
        )
    proof = statements.enrollment(request.enrollment_token, request.public_key, request.coordinator)
    try:
        signing.verify(request.public_key, proof, request.signature)
    except IntegrityError as error:
        raise signed_requests.bad_signature() from error


def _enrolled_already() -> Refused:
    return Refused(
        "this device has enrolled and taken part already",
        remedy="go on with its state, or enroll it anew with a key of its own",
        code="enrolled-already",
        status=409,
    )


def _valid_link(tx: sa.Connection, enrollment_token: str, now: float) -> rows.Row:
    table = schema.tokens
    link = tx.execute(
        sa.select(table)
        .where(
            table.c.token_hash == auth.hash_token(enrollment_token),
            table.c.revoked_at.is_(None),
            table.c.expires_at > now,
        )
        .with_for_update()  # enrollments by one link follow one another, on PostgreSQL too
    ).one_or_none()
    if link is None:
        raise auth.bad_link()
    return link


def _use_up(tx: sa.Connection, link: rows.Row) -> None:
    table = schema.tokens
    used = tx.execute(
        sa.update(table)
        .where(table.c.id == link.id, table.c.revoked_at.is_(None), table.c.uses < table.c.max_uses)
        .values(uses=table.c.uses + 1)
    )
    if not used.rowcount:
        raise auth.bad_link()


def _register(
    tx: sa.Connection, device_id: str, request: EnrollRequest, secret: str, link: rows.Row, now: float
) -> None:
    tx.execute(
        sa.insert(schema.devices).values(
            id=device_id,
            token_hash=auth.hash_token(secret),
            public_key=request.public_key,
            certificate=_certificate(request),
            population=link.population,
            token_id=link.id,
            enrolled_at=now,
            seen_at=now,
            proved_key=True,
        )
    )


def _certificate(request: EnrollRequest) -> str:
    """Who vouches for a device, as it is stored: for the other members of its groups, who check it."""
    return strict.to_json(request.certificate).decode() if request.certificate else ""


def identify_all(view: sa.Connection, token_hashes: list[str]) -> dict[str, Device]:
    """The devices that these hashed tokens belong to, as of `view`; an unknown or revoked one is left out."""
    by_token_hash = {}
    for row in view.execute(*rows.among(_BY_TOKEN, schema.devices.c.token_hash, token_hashes)):
        assignment = None
        if row.assignment is not None:
            assignment = OpenAssignment(row.assignment, row.task_id, row.round, row.compute_until, row.expires_at)
        by_token_hash[row.token_hash] = Device(
            row.id, row.public_key, row.population, row.last_assignment_at, assignment, row.seen_at or 0.0
        )
    return by_token_hash


def check(device: Device, check_in: CheckIn) -> None:
    """Raise Refused (403) for another population than the device's."""
    if check_in.population != device.population:
        raise Refused(
            f"this device belongs to the population {device.population!r}",
            remedy="check in for that one, or enroll with another link",
            code="wrong-population",
            status=403,
        )


def authenticate(coordinator: Coordinator, credentials: Credentials) -> Device:
    """The device that asks, in a view of its own. Raises Refused(401)."""
    with coordinator.store.read() as view:
        devices = identify_all(view, [credentials.token_hash])
    return credentials.of(devices)


def note_seen(coordinator: Coordinator, seen: Iterable[Device], now: float) -> None:
    """Store that devices were heard of: once a day of each, so that a check-in costs no write."""
    table, due = schema.devices, [device.id for device in seen if now - device.seen_at >= SEEN_SECONDS]
    if due:
        with coordinator.store.write() as tx:
            tx.execute(sa.update(table).where(table.c.id.in_(due)).values(seen_at=now))
