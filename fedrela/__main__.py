"""`python -m fedrela` is the console script `fedrela`, and like it takes no module of ours or a library's from the
folder where it is called.

With -m, Python puts that folder in front of every other one. It goes before anything is imported; what the user names
is found there all the same (`fedrela.core.references`). A checkout that isn't installed is found by that very entry: it
stays, behind every other one.
"""

import os
import sys

if not sys.flags.safe_path:
    _callers = sys.path.pop(0)
    if os.path.dirname(os.path.dirname(__file__)) == _callers:
        sys.path.append(_callers)

from fedrela.cli import main

main()
