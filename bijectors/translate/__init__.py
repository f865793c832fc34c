"""Constraints of other libraries, translated into ours."""
