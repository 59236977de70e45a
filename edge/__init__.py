"""The device: runs exported programs on data that never leaves it, keeps files and speaks HTTP.

May import numpy, onnxruntime, httpx, psutil, Pillow and `core`. Never torch: `fedrela.edge.engines.executorch_engine`
is the one documented, lazy exception. Read `fedrela.edge.client.run_once` first, then
`fedrela.edge.training.local_round`.
"""
