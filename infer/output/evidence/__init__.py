"""The evidence of a model: the integral of its prior times its likelihood."""
