"""Secure rounds: groups of devices whose sum is read, and nothing else of a member. `core.secure` has the protocol.

    keys ─► waiting room ─► group: sharing ─► masking ─► agreeing ─► revealing ─► summing ─► summed
    turns.py  gathering.py         phases.py (turns.py takes the messages)        summing.py
                                    └──► failed: `again` before masking, `closed` after it (phases.py)

A member's assignment is `open` until its masked update is there, then `masked` until the group's sum is: then it has
`reported`. Whoever changes a group holds the lock of its task, as everywhere.
"""
