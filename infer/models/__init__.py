"""Front ends: ways to write a model, each a program that takes its sites from a reader."""
