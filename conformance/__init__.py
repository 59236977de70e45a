"""Language-neutral vectors of everything a client must compute, and the command that makes them.

Read README.md first: it is written for the author of a client in another language.
"""
