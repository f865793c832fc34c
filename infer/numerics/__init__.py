"""Mathematics that several engines share, each file under the name of its formula."""
