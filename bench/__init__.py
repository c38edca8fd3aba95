"""Measures Lampyr beside its rivals and beside what the machine can do: `python -m bench`."""
