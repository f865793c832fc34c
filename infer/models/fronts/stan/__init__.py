"""Models written in Stan."""
