"""The algorithm, the mathematics and the contracts that every part of FedReLa Edge shares.

There are no sockets, no SQL, no clock and no global random state here: whatever depends on the world comes in as an
argument.
"""
