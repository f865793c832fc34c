"""Time to the same errors: our approximations and their peers'."""
