"""Values and data drawn from a model: predictions, prior draws, log likelihoods, calibration."""
