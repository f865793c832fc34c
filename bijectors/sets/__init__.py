"""Sets of values: each file has one set and the maps onto it."""
