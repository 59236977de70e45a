"""`python -m fedrela` is the console script `fedrela`."""

from fedrela.cli import main

main()
