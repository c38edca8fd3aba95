"""How an execution environment reaches the outside, and nothing else."""
