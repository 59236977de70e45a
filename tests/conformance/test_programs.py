"""The ONNX files of programs.json: Python takes and refuses what it says, and what is too much is refused quickly."""

import base64
import time
import tracemalloc

import pytest

from fedrela.conformance import protobuf
from fedrela.conformance.files import read_json
from fedrela.conformance.program_cases import ADD, W, build, graph, model
from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files import rules

DOCUMENT = read_json("programs.json")
MEGABYTE = 1_000_000


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: case["name"])
def test_a_program_is_taken_or_refused(case):
    body = base64.b64decode(case["base64"])
    if case["valid"]:
        rules.check(body, "predict")
    else:
        with pytest.raises(InvalidBundle):
            rules.check(body, "predict")


def test_the_document_is_that_of_the_rules():
    assert build() == DOCUMENT


@pytest.mark.parametrize(
    ("many", "says"),
    [
        (lambda: model(graph(*[ADD] * (rules.MOST_OPERATORS + 1), initializers=(W,))), "operators|fields"),
        (lambda: model(graph(ADD, initializers=(W,)) + protobuf.delimited(2, b"") * (8 * MEGABYTE)), "fields"),
        (lambda: model(graph(ADD) + protobuf.delimited(11, protobuf.delimited(3, b"") * (8 * MEGABYTE))), "fields"),
        (lambda: model(graph(ADD + protobuf.delimited(1, b"") * (8 * MEGABYTE))), "fields"),
        (lambda: model(graph(ADD, initializers=(protobuf.varint(1, 1) * (8 * MEGABYTE),))), "fields|dimensions"),
        (lambda: model(graph(ADD, initializers=(protobuf.delimited(1, bytes(16 * MEGABYTE)),))), "dimensions"),
        (lambda: model(graph(ADD, initializers=(W + protobuf.delimited(7, bytes(16 * MEGABYTE)),))), ""),
    ],
    ids=["operators", "fields of a graph", "fields of a value", "inputs", "dimensions", "packed", "data"],
)
def test_a_large_program_takes_no_time_and_no_memory(many, says):
    body = many()
    tracemalloc.start()
    began = time.process_time()
    refused = ""
    try:
        rules.check(body, "p")
    except InvalidBundle as fault:
        refused = fault.problem
    finally:
        seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert bool(refused) == bool(says)
    assert any(word in refused for word in says.split("|"))
    assert peak < 64 * MEGABYTE
    assert seconds < 30  # traced, on any machine
