"""Changes to a model: freeze, condition, do, view, observe."""
