"""User input: data and names, and the errors for input that no model can use."""
