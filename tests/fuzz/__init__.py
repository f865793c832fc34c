"""Small random models, each in a process of its own, against plain JAX."""
