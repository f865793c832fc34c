"""Sets of values: one set and the maps onto it in each file."""
