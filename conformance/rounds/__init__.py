"""Vectors that run programs: golden steps, whole rounds, and what survives within and between assignments."""

from fedrela.core.task import Rounds

# Of every task here: one device plays it, and no round of it is ever aggregated.
ONE_DEVICE = Rounds(smallest_cohort=1)
