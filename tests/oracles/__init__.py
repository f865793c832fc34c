"""Slow code that is plainly right, with which the fast code is compared."""
