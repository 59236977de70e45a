"""The device: runs exported programs on data that never leaves it, keeps files and speaks HTTP.

May import numpy, onnxruntime, httpx, psutil, Pillow and `core`. Never torch: `edge.executorch_engine` is the one
documented, lazy exception. Read `edge.client.run_once` first, then `edge.training`.
"""
