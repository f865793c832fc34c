"""Draws as ArviZ data: named values, groups, statistics and provenance."""
