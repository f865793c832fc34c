"""Advance a run to its goal; an interrupt keeps what there is."""
