"""`python -m fedrela.conformance.generate` writes conformance/vectors/ from core, so that they can't drift from it.

The bundles and the rounds need the export extra and take some minutes; `--fast` leaves them as they are.

    $ python -m fedrela.conformance.generate --fast
"""

import argparse
from collections.abc import Callable
from typing import Any

from fedrela.conformance import (
    eligibility_cases,
    encoding_cases,
    failure_cases,
    field_table,
    image_cases,
    message_cases,
    program_cases,
    sample_cases,
    signing_cases,
    stream_cases,
    tensor_cases,
)
from fedrela.conformance.files import PAGE, VECTORS, write_json
from fedrela.conformance.rounds import golden_error_cases, learning_rate_cases
from fedrela.conformance.secure import documents as secure_documents
from fedrela.conformance.server import http_cases

DOCUMENTS: dict[str, Callable[[], Any]] = {
    "streams.json": stream_cases.build,
    "safetensors.json": tensor_cases.build,
    "signing.json": signing_cases.build,
    "messages.json": message_cases.build,
    "programs.json": program_cases.build,
    "encodings.json": encoding_cases.build,
    "holdout.json": sample_cases.holdout_document,
    "samples.json": sample_cases.build,
    "images.json": image_cases.build,
    "http.json": http_cases.build,
    "failures.json": failure_cases.build,
    "eligibility.json": eligibility_cases.build,
    "learning-rates.json": learning_rate_cases.build,
    "golden-errors.json": golden_error_cases.build,
    **secure_documents.DOCUMENTS,
}


def main() -> None:
    """Write every document and, unless told otherwise, the bundles and the whole rounds."""
    parser = argparse.ArgumentParser(prog="python -m fedrela.conformance.generate", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="leave the bundles and the whole rounds as they are")
    fast = parser.parse_args().fast
    for name, build in DOCUMENTS.items():
        write_json(VECTORS / name, build())
        print(f"wrote {VECTORS / name}")
    PAGE.write_text(field_table.insert(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE}")
    if not fast:
        _write_bundles()


def _write_bundles() -> None:
    """The folders of vectors that need the export extra. Assignments are of the models written before them."""
    from fedrela.conformance.rounds import assignment_cases, golden_cases, model_cases, round_cases

    writers = {"golden": golden_cases, "rounds": round_cases, "models": model_cases, "assignments": assignment_cases}
    for name, cases in writers.items():
        for path in cases.write(VECTORS / name):
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
