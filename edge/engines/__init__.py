"""Runtimes that execute exported programs, behind one Protocol."""
