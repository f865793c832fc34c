"""Results: draws as ArviZ data, modes, approximations; and the calls that make them."""
