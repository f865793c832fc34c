"""Compile the loop of NUTS for chains that share a program, and count what a tick launches."""

import importlib.util
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding

import infer
from infer.run.blocks import find_format, share
from infer.run.loop import run_block
from infer.run.turns import Own

from .loop_body import LoopBody, count_loop_body
from .models import CASES

# With this description of a GPU, XLA compiles for it on a machine that has none. The numbers are
# NVIDIA's for an H200; the names are those of XLA's `GpuTargetConfigProto`.
H200 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  memory_bandwidth: 4800000000000 l2_cache_size: 52428800 device_memory_size: 151397597184
  cuda_compute_capability { major: 9 minor: 0 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H200"
"""


def begin(name: str, chains: int) -> infer.Run:
    """Begin a run of NUTS whose chains share one program, as on an accelerator."""
    case = CASES[name]
    model = infer.from_numpyro(case.numpyro, **case.data())
    return infer.start(model, infer.NUTS(), chains=chains, group=chains, progress=False)


def list_targets() -> dict[str, Any]:
    """Return a device for each kind that a program can be compiled for, by name.

    These are the device at hand, and an H200 if JAX's plugin for CUDA is installed: XLA compiles
    for it whether or not there is one.
    """
    device = jax.devices()[0]
    targets = {device.device_kind if device.platform != "cpu" else "CPU": device}
    if device.platform == "cpu" and _has_cuda_plugin():
        from jax.experimental import topologies

        there = topologies.get_topology_desc("", "cuda", target_config=H200, topology="1x1x1")
        targets["NVIDIA H200, not at hand"] = there.devices[0]
    return targets


def _has_cuda_plugin() -> bool:
    return any(
        importlib.util.find_spec("jax_plugins") and importlib.util.find_spec(f"jax_plugins.{name}")
        for name in ("xla_cuda12", "xla_cuda13")
    )


def compile_loop(run: infer.Run, device: Any) -> LoopBody:
    """Compile the ordinary form of the loop of a run for a device, and count what is in it."""
    group = run.groups[0]
    record = find_format(run.engine, run.family, run.warmup).record
    order = group.order(0, 0)._replace(limit=np.int32(1))  # pyright: ignore[reportArgumentType]
    own = Own(run.family, run.warmup).take(group)
    arguments = share(run.family, run.warmup), own, group.state, order
    sharding = SingleDeviceSharding(device)
    shapes = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(np.shape(a), jnp.result_type(a), sharding=sharding),
        arguments,
    )
    with jax.threefry_partitionable(True):
        loop = jax.jit(partial(run_block, run.engine, run.plan.rows, record))
        lowered = loop.trace(*shapes).lower()
    return count_loop_body(lowered.compile().as_text() or "")
