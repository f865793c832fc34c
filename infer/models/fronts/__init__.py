"""Front ends: the ways to declare a model."""
