"""Judge the draws of a run: each file finds one kind of problem."""
