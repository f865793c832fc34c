"""Front ends: the ways to write a model."""
