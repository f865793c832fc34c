"""Slow and plainly right: what the fast code is compared with."""
