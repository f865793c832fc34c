"""Modes and approximations, and how far to trust them."""
