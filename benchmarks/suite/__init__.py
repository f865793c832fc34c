"""Run ours and the peers at defaults on posteriors with references, in whole processes."""
