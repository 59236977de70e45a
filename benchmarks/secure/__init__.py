"""What secure rounds hide, cost and withstand, measured: one command each.

    python -m benchmarks.secure.attacks      what the disk of a coordinator tells of its devices
    python -m benchmarks.secure.accuracy     the demo's accuracy in secure rounds beside that of plain ones
    python -m benchmarks.secure.losses       a thousand devices, a fifth of them lost in one phase
    python -m benchmarks.secure.costs        time of processors, memory, rounds over HTTP

`benchmarks.coordinator_kills --secure` and `benchmarks.secure_device_kills` kill both sides of such rounds.
"""
