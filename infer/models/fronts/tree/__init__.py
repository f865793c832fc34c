"""Models of any pytree."""
