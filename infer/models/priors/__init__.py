"""Priors of latent sites: NumPyro's, TFP's, or a score."""
