"""The coordinator: hands out weights, believes nobody, loses nothing, aggregates updates into the next global model.

Start it with `fedrela serve` or `uvicorn fedrela.coordinator.app:app`. Read `rounds/service.py` first, then
`rounds/rules.py`.
"""

import sys

if __name__ == "coordinator":  # `uvicorn coordinator.app:app` in a checkout means the package's own application
    import fedrela.coordinator.app  # noqa: F401

    sys.modules["coordinator"] = sys.modules["fedrela.coordinator"]
    sys.modules["coordinator.app"] = sys.modules["fedrela.coordinator.app"]
