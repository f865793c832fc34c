"""In a real kernel of IPython, Ctrl-C keeps the run and progress is one table replaced in place."""

import os
import time

import pytest

KERNELS = pytest.importorskip("jupyter_client", reason="needs jupyter_client and ipykernel")
pytest.importorskip("ipykernel", reason="needs ipykernel")

ROOT = os.path.join(os.path.dirname(__file__), *[".."] * 3)
SETUP = f"""
import sys; sys.path.insert(0, {ROOT!r})
import time, warnings, jax, infer, bijectors
from tests.infer import targets
warnings.simplefilter("ignore", infer.SamplingWarning)
def sample(**options):
    return infer.sample(targets.normal(), infer.NUTS(), chains=2, key=5, **options)

def slow(values):
    jax.debug.callback(lambda _: time.sleep(0.01), values["x"])
    return -0.5 * values["x"] ** 2
"""


@pytest.fixture(scope="module")
def kernel():
    manager, client = KERNELS.manager.start_new_kernel(kernel_name="python3")
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(kernel, code, interrupt=False):
    """Run a cell, and press the interrupt button once progress shows draws; return its messages."""
    manager, client = kernel
    request = client.execute(code)
    messages, is_interrupted = [], False
    while True:
        message = client.get_iopub_msg(timeout=200)
        if message["parent_header"].get("msg_id") != request:
            continue
        messages.append((message["msg_type"], message["content"]))
        shown = message["content"].get("data", {}).get("text/plain", "")
        if interrupt and not is_interrupted and "left" in shown:
            time.sleep(0.1)
            manager.interrupt_kernel()
            is_interrupted = True
        if message["content"].get("execution_state") == "idle":
            return messages


def printed(messages):
    return "".join(content["text"] for kind, content in messages if kind == "stream")


@pytest.mark.slow
def test_an_interrupted_warmup_is_resumed_in_the_next_cell(kernel):
    execute(kernel, SETUP)
    code = "infer.sample(infer.declared(slow, {'x': bijectors.Real()}), infer.NUTS(), chains=2)"
    messages = execute(kernel, code, interrupt=True)
    (error,) = [content for kind, content in messages if kind == "error"]
    assert error["ename"] == "Interrupted"
    assert "sys.last_value.resume()" in error["evalue"]
    shown = printed(execute(kernel, "print(sys.last_value.run)"))
    assert "2 chains, warming up" in shown
    again = execute(kernel, "sys.last_value.resume()", interrupt=True)
    assert [content["ename"] for kind, content in again if kind == "error"] == ["Interrupted"]


@pytest.mark.slow
def test_interrupted_sampling_returns_the_draws(kernel):
    execute(kernel, SETUP)
    code = "data = sample(draws=10**8); print(data.posterior.sizes['draw'] > 0)"
    assert "True" in printed(execute(kernel, code, interrupt=True))


@pytest.mark.slow
def test_progress_is_one_table_without_a_warning(kernel):
    execute(kernel, SETUP)
    messages = execute(kernel, "data = sample(draws=200)")
    kinds = [kind for kind, _ in messages]
    assert kinds.count("display_data") == 1
    assert "update_display_data" in kinds
    assert printed(messages) == ""
    last = [c for kind, c in messages if kind == "update_display_data"][-1]["data"]
    assert "done in" in last["text/plain"]
    assert "<table>" in last["text/html"]


@pytest.mark.slow
def test_a_background_run_shows_its_state(kernel):
    execute(kernel, SETUP)
    code = """
handle = infer.sample_in_background(infer.start(targets.normal(), infer.NUTS(), chains=2), 50)
data = handle.wait()
handle
"""
    messages = execute(kernel, code)
    (result,) = [content for kind, content in messages if kind == "execute_result"]
    assert "finished" in result["data"]["text/html"]
