"""Programs: compiled once and kept, in one native piece where XLA can."""
