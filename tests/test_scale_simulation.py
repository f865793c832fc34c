"""The model of many workers and devices, on cases whose answer is known."""

from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from benchmarks.scale_rows import Pace, Rows
from benchmarks.scale_simulation import Costs, Machine, fit_line, simulate


def test_one_worker_takes_the_sum_of_all_costs():
    costs = Costs(
        begin=3, begin_each=0.01, hand_out=0.1, compile=2, shard=0.5, each=0.2, bytes_each=10,
        worker_bytes=100, commit=0.25,
    )  # fmt: skip
    made = simulate(costs, sets=10, shard=4, workers=1)
    work = 3 * 0.5 + 10 * 0.2
    assert made.begun == pytest.approx(3.1)
    assert made.sampled == pytest.approx(3.1 + 3 * 0.1 + 2 + work + 10 * 10 / 100)
    assert made.busy == pytest.approx(2 + work)
    assert made.seconds == pytest.approx(made.sampled + 0.25)


@pytest.mark.parametrize("workers", [1, 3, 7, 100])
def test_equal_shards_without_overhead_take_whole_rounds(workers):
    made = simulate(Costs(each=0.5), sets=40, shard=2, workers=workers)
    assert made.seconds == pytest.approx(ceil(20 / workers))


def test_a_shared_store_and_one_that_hands_out_tasks_bound_the_time():
    stored = simulate(Costs(each=0.5, bytes_each=5, store_bytes=10), 40, 2, workers=20)
    assert stored.seconds == pytest.approx(1 + 40 * 5 / 10)
    handed = simulate(Costs(each=0.5, hand_out=2), 40, 2, workers=20)
    assert handed.seconds == pytest.approx(20 * 2 + 1)


def test_commits_are_in_order_and_take_all_that_is_ready():
    slow = simulate(Costs(each=1, commit=100), sets=4, shard=1, workers=4)
    assert (slow.seconds, slow.commits) == (pytest.approx(101), 1)
    alone = simulate(Costs(each=1, commit=0.25, commit_each=0.5), sets=4, shard=1, workers=1)
    # Shards are ready after 1, 2, 3 and 4 s; the second commit has those of 2 s and 3 s.
    assert (alone.seconds, alone.commits) == (pytest.approx(1 + 3 * 2.25), 3)


def test_lost_workers_repeat_tasks_and_take_longer():
    costs = Costs(each=1, restart=3)
    calm = simulate(costs, sets=50, shard=1, workers=5)
    lossy = simulate(Costs(each=1, restart=3, lost=0.2), sets=50, shard=1, workers=5)
    assert lossy.repeated > 0
    assert lossy.seconds > calm.seconds + 3
    assert lossy.busy > calm.busy == pytest.approx(50)


def test_an_idle_worker_takes_a_lost_task():
    costs = Costs(each=10, lost=0.05, restart=1000)
    made = simulate(costs, sets=1, shard=1, workers=2)
    assert made.repeated == 1
    assert made.seconds < 20


def test_unlike_shards_have_the_mean_that_is_asked_for_and_take_longer():
    made = simulate(Costs(each=1, spread=0.5), sets=4000, shard=1, workers=1)
    assert made.busy == pytest.approx(4000, rel=0.05)
    few = [simulate(Costs(each=1, spread=0.5), 20, 1, workers=20, seed=s).seconds for s in range(9)]
    assert np.mean(few) > 1.5


def share_slowly(jobs, cores):
    """Return when jobs end that begin at some time, with so much work, on some cores each."""
    left, ends, now = [work for _, work, _ in jobs], [0.0] * len(jobs), 0.0
    while any(left):
        here = [i for i, (begin, _, _) in enumerate(jobs) if begin <= now and left[i]]
        pace = min(1, cores / max(sum(jobs[i][2] for i in here), 1e-9))
        steps = [begin - now for begin, _, _ in jobs if begin > now]
        step = min([*steps, *(left[i] / pace for i in here)])
        now += step
        for i in here:
            left[i] -= pace * step
            if left[i] < 1e-9:
                left[i], ends[i] = 0.0, now
    return ends


def test_jobs_share_the_cores_of_a_machine_evenly():
    rng, ends = np.random.default_rng(0), {}
    jobs = [(*rng.exponential((1, 2)), float(rng.integers(1, 4))) for _ in range(12)]
    machine = Machine(3)

    def begin(i):
        machine.work(jobs[i][1], lambda: ends.update({i: machine.now}), jobs[i][2])

    for i, (begins, _, _) in enumerate(jobs):
        machine.wait(begins, lambda i=i: begin(i))
    while np.isfinite(machine.next_time()):
        machine.step()
    assert [ends[i] for i in range(12)] == pytest.approx(share_slowly(jobs, 3))


def test_workers_and_the_calling_process_share_the_cores_of_a_machine():
    costs = Costs(
        begin=3, load=1, compile=4, compile_cores=2, shard=0.5, each=0.25, commit=0.3,
        commit_shard=0.1, spread=0.1,
    )  # fmt: skip
    one = simulate(replace(costs, cores=1), sets=40, shard=2, workers=4)
    # Each compiles on two cores, and so takes twice as long on one.
    work = one.busy + 4 * 4 + 3 + one.commits * 0.3 + 20 * 0.1
    assert one.seconds == pytest.approx(work)
    apart = simulate(costs, sets=40, shard=2, workers=4)
    assert simulate(replace(costs, cores=9), sets=40, shard=2, workers=4).seconds == apart.seconds
    assert simulate(replace(costs, cores=8), sets=40, shard=2, workers=4).seconds >= apart.seconds


def test_rows_over_devices_pay_for_the_sum():
    rows = Rows(Pace(gradient=1.0, row=0.5), latency=0.25, bytes=8.0)
    assert rows.seconds(12, 1, 16.0) == pytest.approx(7)
    assert rows.seconds(12, 2, 16.0) == pytest.approx(1 + 3 + 0.25 + 2)
    assert rows.seconds(12, 4, 16.0) == pytest.approx(1 + 1.5 + 0.5 + 3)


def test_rows_take_longer_where_memory_is_cleared():
    rows = Rows(Pace(1.0, 0.5, fresh=0.25), together=Pace(2.0, 1.0, fresh=3.0), reused=6)
    assert [rows.seconds(n, 1, 0.0) for n in (6, 8)] == pytest.approx([4, 7])
    assert [rows.seconds(n, 2, 0.0) for n in (12, 16)] == pytest.approx([8, 34])


def test_a_line_is_fitted_by_its_fixed_and_marginal_cost():
    assert fit_line([1, 4, 9], [2.5, 4.0, 6.5]) == pytest.approx((2, 0.5))
