"""The emulated fleet: real edge clients, in numbers, against a real coordinator.

An emulated device is `fedrela.edge.client`'s own code on the same programs, data and protocol as on a phone. What is
emulated is the world around it: when it wakes, how fast it computes, what its network does to a request, when its power
goes, and whether its owner is hostile. There is no federated learning in this package.

    scenario    what a TOML scenario may say           datasets, shards   who holds which examples
    traits      what kind of device each one is        network            what happens to a request on its way
    world, turn what devices share; one wake-up        worker             many devices in one process
    fleet       the order of events in virtual time    workers            where workers live; ray_workers: on a cluster
    beside      training steps on a second core        arrivals           who comes when
    standing    what the fleet knows of the coordinator, by the coordinator's own rules of a round
    quick_http  the short way to a coordinator         asgi, sockets      in this process; over HTTP, many at once
    judge       accuracy of every global model         record             what a run leaves on disk
    report      figures from runs; page: as pictures   cli                `fedrela emulate`, `fedrela report`

The coordinator is a running one, or `local_coordinator` starts one: in a process of its own, or in this one.
"""
