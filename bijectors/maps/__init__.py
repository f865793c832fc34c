"""Maps that belong to no set: affine, elementwise, splines and couplings."""
