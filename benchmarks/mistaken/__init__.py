"""Deliberate mistakes, a file for each front end."""
