"""Models written for PyMC."""
