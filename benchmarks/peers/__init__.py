"""Compare our sampler and its peers on the same nine models and data."""
