"""Print draws of a run whose rows are divided over two processes, as JSON; start it twice.

python -m tests.infer.run.on_processes PORT INDEX
"""

import json
import sys

import jax

from . import on_devices

if __name__ == "__main__":
    port, index = sys.argv[1:]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_x64", True)
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(index))
    run = on_devices.begin(on_devices.divided(), None)
    draws = on_devices.draws_of(run)
    print(json.dumps({"places": run.plan.places, "draws": draws}))
