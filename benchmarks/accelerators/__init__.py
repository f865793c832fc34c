"""What `benchmarks/accelerator.py` measures: samplers, their rows, and the program of a tick."""
