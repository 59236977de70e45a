"""Differential fuzzing: every client of the protocol gives one verdict on one body.

Python makes mutants of good bodies, deterministically from a seed, and reads each; so does every client program that is
given. A difference, or an exception that is none of ours, is a fault of a client or of the specification. Messages to
the coordinator, updates, bundles and pictures are read by Python alone: always a verdict, within a second and
64 MB.

    $ python -m fedrela.conformance.differential --cases 1000000 --client "page=node verdicts.js"

  __main__.py        the command
  bodies.py          the good bodies, by kind
  edges.py           what lies at, just inside and just outside a field's limits, from the fields' own annotations
  literals.py        JSON that no encoder writes: odd numbers, texts, depths, damaged bytes
  changes.py         what may be done to a good body
  mutants.py         case number i of a seed
  tensor_mutants.py  the same of safetensors files
  program_mutants.py, picture_mutants.py, update_mutants.py   and of programs, pictures, updates and bundles
  large.py           bodies of 16 MB that are made to take time and memory
  cost.py            what reading a body took
  verdicts.py        Python's verdict and those of other programs
  report.py          what is told of a run
"""
