"""Ours and the peers on the same nine models and data."""
