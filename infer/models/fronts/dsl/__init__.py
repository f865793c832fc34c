"""The DSL: a function of `site` and data."""
