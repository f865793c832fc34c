"""Engines: state machines that advance by ticks and know a target, a tuning and a key."""
