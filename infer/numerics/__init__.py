"""Mathematics shared by several engines; each file has the name of its method."""
