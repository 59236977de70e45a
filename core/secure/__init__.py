"""Secure aggregation: a coordinator learns the sum of a group's updates, and no update of one device.

After Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017, with a complete
graph inside a group of 5 to 64 members. Everything here is a function of its arguments: keys, seeds and times come in.

    ciphers          X25519, HKDF, ChaCha20, ChaCha20-Poly1305: the only place that knows the library
    field, shamir    secret sharing over GF(2^8)
    sealing          the two shares that one member gives another, sealed
    pads             what hides a vector, and cancels in the sum
    fixed_point      updates as whole numbers of 32 bits, with a bound on every sum
    messages         what travels; statements: what of it is signed
    fleet            the key by which a coordinator can't invent devices
    formation        who goes into which group
    roster, member   what a device checks, and what it answers: its side as pure functions
    group, unmasking the coordinator's side
    ledger           a device masks once for a round
    secure_tasks     what a task and its model mean for all this
"""
