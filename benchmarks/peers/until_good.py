"""Run ours on one model, with more draws each time, until its posterior can be trusted.

    python until_good.py MODEL SEED

Started by `earlier.py` by path, with the tree to be measured in PYTHONPATH, so that an earlier
commit is measured in the same way, and with the caches turned off. Each run is a process of its
own, with nothing compiled before, at the defaults but for the draws: 1000 for each of four chains,
then twice as many, up to 16 times as many. The first run whose largest R-hat is below 1.01 and
whose smallest bulk ESS is at least 400 ends it. Prints the seconds of that run from a written model
to its draws, imports left out, and how many draws each chain had; infinite seconds if none is good.
"""

import json
import subprocess
import sys

R_HAT, ESS, MOST_DRAWS = 1.01, 400, 16_000


def run_once(name: str, seed: int, draws: int) -> dict[str, float]:
    """Sample in this process."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from benchmarks.peers import samplers

    run = samplers.SAMPLERS["ours"](samplers.SUITE[name])
    found = run(seed, draws)
    return {"seconds": found.seconds, "draws": draws} | samplers.quality(found)


def main() -> None:
    name, seed = sys.argv[1], int(sys.argv[2])
    if sys.argv[3:]:
        print(json.dumps(run_once(name, seed, int(sys.argv[3]))))
        return
    draws = 1000
    while draws <= MOST_DRAWS:
        command = [sys.executable, "-W", "ignore", __file__, name, str(seed), str(draws)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        if found["rhat"] < R_HAT and found["ess"] >= ESS:
            print(json.dumps({"seconds": found["seconds"], "draws": draws}))
            return
        draws *= 2
    print(json.dumps({"seconds": float("inf"), "draws": float("inf")}))


if __name__ == "__main__":
    main()
