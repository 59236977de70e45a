"""Differential fuzzing: every client of the protocol gives one verdict on one body.

Python makes mutants of good bodies, deterministically from a seed, and reads each; so does every client program that is
given. A difference, or an exception that is none of ours, is a fault of a client or of the specification.

    $ python -m fedrela.conformance.differential --cases 1000000 --client "page=node verdicts.js"

  __main__.py        the command
  bodies.py          the good bodies, by kind
  edges.py           what lies at, just inside and just outside a field's limits, from the fields' own annotations
  literals.py        JSON that no encoder writes: odd numbers, texts, depths, damaged bytes
  changes.py         what may be done to a good body
  mutants.py         case number i of a seed
  tensor_mutants.py  the same of safetensors files
  program_mutants.py and of ONNX programs
  verdicts.py        Python's verdict and those of other programs
  report.py          what is told of a run
"""
