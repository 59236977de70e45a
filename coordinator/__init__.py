"""The coordinator: hands out weights, believes nobody, loses nothing, and folds updates into the next global model.

May import `core`, FastAPI, SQLAlchemy and numpy; never torch, `edge` or `export`. Start it with `fedrela serve` or
`uvicorn coordinator.app:app`. Read `service.py` first, then `rounds.py`.
"""
