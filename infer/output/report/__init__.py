"""A result as one HTML file that can be read, printed and sent."""
