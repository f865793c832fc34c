"""Models written for NumPyro."""
