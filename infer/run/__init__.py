"""Runs: the one loop that drives every engine, on threads or devices, in blocks."""
