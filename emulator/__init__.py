"""The emulated fleet: real edge clients, in numbers, against a real coordinator.

An emulated device is `fedrela.edge.client`'s own code on the same programs, data and protocol as on a phone. What is
emulated is the world around it: when it wakes, how fast it computes, what its network does to a request, when its power
goes, and whether it is malicious. There is no federated learning in this package.

    cli                `fedrela emulate`, `fedrela report`     evaluating   `fedrela evaluate`
    pytest_plugin      fleets in other people's tests          emulation    one run, from scenario to record
    scenario           what a TOML scenario may say            shipped_settings   TOML files that come with a package

    data/              datasets; shards: who holds which examples
    fleet/             fleet: the order of events in virtual time, by event_queue; arrivals: who comes when;
                       profiles: what kind of device each one is; messages between fleet and workers;
                       round_view: what the fleet knows of the coordinator, by the coordinator's own rules of a round
    workers/           worker: many devices in one process; workers: where these live; ray_workers: on a cluster;
                       background: training steps on a second core
    devices/           wake_up: one wake-up of one device; shared_context: what devices of a process share; storage;
                       network: what happens to a request on its way; malicious: what attackers do
    connections/       minimal_http: what a device's client needs of httpx; asgi, sockets: transports to a coordinator;
                       local_coordinator: one for the length of a run, in a process of its own or in this one
    results/           evaluation: accuracy of every global model; progress; record: what a run leaves on disk;
                       report: figures from runs; page: as pictures
"""
