"""Public models of five libraries, each beside the library that it comes from."""
