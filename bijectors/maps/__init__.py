"""Maps that are not tied to a set: affine, elementwise, splines and couplings."""
