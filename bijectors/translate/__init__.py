"""Translate the constraints of other libraries into our sets."""
