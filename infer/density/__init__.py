"""One log density over one flat vector, made of a model: its evaluation, its starts, its check."""
