"""The documented API: it carries examples that are true, and a short run of schemathesis finds nothing."""

import json

import pytest

from benchmarks import coordinator_schema
from fedrela.coordinator.api import openapi
from fedrela.core import strict, wire
from fedrela.core.protocol import key_chain
from fedrela.core.secure import messages
from tests.coordinator.conftest import House


def test_every_operation_is_described_and_every_problem_named(house: House) -> None:
    document = house.http.get("/openapi.json").json()
    operations = [(path, verb, body) for path, item in document["paths"].items() for verb, body in item.items()]
    assert len(operations) >= 20
    for path, verb, body in operations:
        assert body.get("summary") or body.get("description"), (verb, path)
        assert "422" not in body["responses"], (verb, path)
        if path.startswith("/v1/admin"):
            assert body["security"] == [{"adminKey": []}], (verb, path)


def test_operators_schemas_refuse_further_keys_and_none_has_a_field_for_a_label(house: House) -> None:
    document = house.http.get("/openapi.json").json()
    names: set[str] = set()
    for name, schema in document["components"]["schemas"].items():
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is any(hasattr(of, name) for of in (wire, key_chain, messages))
            names |= set(schema["properties"])
    sent = {"EnrollRequest", "CheckIn", "FailureReport", "EvaluationReport"}
    sent |= {"SecureKeys", "SecureShares", "SecureAgreement", "SecureReveal"}
    fields = {f for name in sent for f in document["components"]["schemas"][name]["properties"]}
    assert fields == {
        "enrollment_token",
        "public_key",
        "coordinator",
        "signature",
        "nonce",
        "protocol",
        "population",
        "client",
        "features",
        "runtimes",
        "code",
        "loss_sum",
        "correct",
        "examples",
        "certificate",
        "mask_key",
        "seal_key",
        "session",
        "commitment",
        "sealed",
        "index",
        "own",
        "pair",
    }


@pytest.mark.parametrize("cls", openapi.EXAMPLES, ids=lambda cls: cls.__name__)
def test_the_examples_are_messages(cls: type) -> None:
    example = openapi.EXAMPLES[cls]
    assert strict.from_json(cls, strict.to_json(example)) == example
    assert json.loads(strict.to_json(example))


def test_schemathesis_finds_no_server_error_and_no_undocumented_answer() -> None:
    runs = coordinator_schema.measure(26, phases="examples,fuzzing")
    assert [run.output for run in runs if run.findings] == []
    assert sum(run.requests for run in runs) > 50
