"""The device: runs exported programs on data that never leaves it, keeps files and speaks HTTP.

It never imports torch: `fedrela.edge.engines.executorch_engine` is the one documented, lazy exception. Read
`fedrela.edge.client.DeviceClient.run_once` first, then `fedrela.edge.training.local_round`.
"""
