"""Rows of the table of rules, in files that are imported when a set of theirs is met."""
