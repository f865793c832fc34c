"""Compare small random models with plain JAX, each in its own process."""
