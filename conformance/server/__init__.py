"""A scripted coordinator that judges any client of the protocol: its HTTP rules, faults, leases, kills.

    $ python -m fedrela.conformance.server --client "fedrela-device --link {link} --state {state} --data {data}"

`vectors/http.json` holds the cases; `__main__` says how a client is driven through them.
"""
