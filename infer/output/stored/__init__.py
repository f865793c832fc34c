"""Stored runs: what a store holds, and results that are read from it."""
