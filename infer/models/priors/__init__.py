"""Priors of latent sites: distributions of NumPyro or TFP, or a score."""
