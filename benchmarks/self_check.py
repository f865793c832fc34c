"""Measure what the self-check of native programs costs, in CPU time up to the first draw.

python benchmarks/self_check.py
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

import jax

import infer
from benchmarks.peers.suite import SUITE
from infer.run import self_check


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    find, spent = self_check.find_disagreement, []

    def timed(*arguments):
        began = time.process_time()
        found = find(*arguments)
        spent.append(time.process_time() - began)
        assert not found, found
        return found

    self_check.find_disagreement = timed
    print("| model | check, ms | start and first draw, s | share |\n| --- | --- | --- | --- |")
    for name, case in SUITE.items():
        began = time.process_time()
        model = infer.from_numpyro(case.numpyro, **case.data())
        infer.start(model, infer.NUTS(), progress=False).advance(1)
        whole = time.process_time() - began
        print(f"| {name} | {1e3 * spent[-1]:.1f} | {whole:.2f} | {spent[-1] / whole:.2%} |")


if __name__ == "__main__":
    main()
