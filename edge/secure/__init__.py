"""The secure half of a client round: the finished update leaves this device only inside a group's sum.

vector          the update as the words that are hidden; kept, and never sent
kept_session    what a device knows of its session, stored before each send; its secrets
masked_rounds   which rounds it has masked for, for ever
turn            the session with the coordinator: read it first
requirement     what an owner asks of tasks before the device works for them
"""
