"""Programs: compiled once and kept, as one native function if XLA can."""
