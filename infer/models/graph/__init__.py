"""A model drawn as a graph: what depends on what."""
