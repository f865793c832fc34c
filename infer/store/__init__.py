"""Runs on disk: what is committed while they run, and how they are recovered."""
