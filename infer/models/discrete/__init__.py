"""Discrete latent sites: summed out of the log density, and drawn afterwards."""
