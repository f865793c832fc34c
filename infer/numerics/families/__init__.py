"""Families of distributions that variational inference fits; one family in each file."""
