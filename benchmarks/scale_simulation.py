"""Simulate many data sets on many workers, and rows on many devices; nothing is measured here.

Workers take the next shard whenever they are idle, as with Dask. One process makes the models,
hands out tasks and commits finished shards in order; all workers write to one store.
`benchmarks/scale_model.py` measures what `Costs` has, and predicts.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

# What happens to a worker.
_IDLE, _COMPUTED, _LOST = range(3)


@dataclass(frozen=True)
class Costs:
    """What a call costs, in seconds unless it says otherwise.

    Attributes:
        begin: What the calling process does before the first task, without data sets.
        begin_each: The same for each data set: its model, its place in the stack, its hash.
        hand_out: What the calling process and the scheduler do for each task, one by one.
        ready: From a worker's start to its first task.
        compile: What the first task of each worker takes longer than later ones.
        shard: A task without data sets.
        each: A data set.
        spread: Standard deviation of the logarithm of the time of a shard, around its mean.
        unlike: The same for the speed of workers.
        bytes_each: Bytes that a data set writes.
        worker_bytes: Bytes a second that one worker writes.
        store_bytes: Bytes a second that the store takes from all workers together.
        commit: A commit.
        commit_each: What a commit takes longer for each data set of the call, sampled or not.
        commit_shard: What it takes longer for each shard in it.
        lost: Losses of a worker for each second that it works.
        restart: From the loss of a worker until another one is in its place.
    """

    begin: float = 0.0
    begin_each: float = 0.0
    hand_out: float = 0.0
    ready: float = 0.0
    compile: float = 0.0
    shard: float = 0.0
    each: float = 0.0
    spread: float = 0.0
    unlike: float = 0.0
    bytes_each: float = 0.0
    worker_bytes: float = np.inf
    store_bytes: float = np.inf
    commit: float = 0.0
    commit_each: float = 0.0
    commit_shard: float = 0.0
    lost: float = 0.0
    restart: float = 0.0


@dataclass
class Outcome:
    """What a simulated call took.

    Attributes:
        seconds: From the call to its result.
        begun: Seconds until the first task could begin.
        sampled: Seconds until the last shard was in the store.
        busy: Seconds that workers worked, all together, lost work included.
        repeated: Number of tasks that were done again.
        commits: Number of commits.
        finished: When each shard was in the store, in the order of data sets.
    """

    seconds: float = 0.0
    begun: float = 0.0
    sampled: float = 0.0
    busy: float = 0.0
    repeated: int = 0
    commits: int = 0
    finished: np.ndarray = field(default_factory=lambda: np.zeros(0))


def simulate(costs: Costs, sets: int, shard: int, workers: int, seed: int = 0) -> Outcome:
    """Simulate a call that samples so many data sets in shards on some workers.

    Args:
        costs: What it costs.
        sets: Number of data sets.
        shard: Number of data sets in a shard.
        workers: Number of workers, of one thread each.
        seed: For the times of shards, the speeds of workers and their losses.
    """
    rng = np.random.default_rng(seed)
    sizes = np.full(-(-sets // shard), shard)
    sizes[-1] = sets - shard * (len(sizes) - 1)
    own = (costs.shard + costs.each * sizes) * _around_one(rng, costs.spread, len(sizes))
    made = Outcome(begun=costs.begin + costs.begin_each * sets, finished=np.zeros(len(sizes)))
    _work(costs, own, costs.bytes_each * sizes, _around_one(rng, costs.unlike, workers), rng, made)
    made.sampled = float(made.finished.max())
    _commit(costs, sets, made)
    return made


def _around_one(rng: np.random.Generator, spread: float, many: int) -> np.ndarray:
    """Draw numbers of a lognormal distribution with mean 1."""
    return np.exp(spread * rng.normal(size=many) - spread**2 / 2)


def _work(
    costs: Costs, own: np.ndarray, written: np.ndarray, slowness: np.ndarray,
    rng: np.random.Generator, made: Outcome,
) -> None:  # fmt: skip
    """Let workers do all tasks, each the first that is left when it is idle."""
    left, order, idle = deque(range(len(own))), count(), []
    warm = np.zeros(len(slowness), bool)
    # When, a number that settles ties, what happens, to which worker, and with which task.
    events = [(max(made.begun, costs.ready), next(order), _IDLE, w, 0) for w in range(len(warm))]
    heapq.heapify(events)
    handed = stored = 0.0

    def then(when: float, what: int, worker: int, task: int = 0) -> None:
        heapq.heappush(events, (when, next(order), what, worker, task))

    while events:
        now, _, what, worker, task = heapq.heappop(events)
        if what == _COMPUTED:
            stored = max(stored, now) + written[task] / costs.store_bytes
            made.finished[task] = max(stored, now + written[task] / costs.worker_bytes)
            then(made.finished[task], _IDLE, worker)
            continue
        if what == _LOST:
            left.appendleft(task)
            made.repeated += 1
            warm[worker] = False
            then(now + costs.restart, _IDLE, worker)
        else:
            idle.append(worker)
        while left and idle:
            worker, task = idle.pop(), left.popleft()
            handed = max(now, handed) + costs.hand_out
            takes = slowness[worker] * (own[task] + costs.compile * (not warm[worker]))
            until = rng.exponential(1 / costs.lost) if costs.lost else np.inf
            made.busy += min(takes, until)
            warm[worker] = True
            then(handed + min(takes, until), _COMPUTED if takes <= until else _LOST, worker, task)


def _commit(costs: Costs, sets: int, made: Outcome) -> None:
    """Commit shards in order: each commit has all that are ready when the one before has ended."""
    ready, done, now = np.maximum.accumulate(made.finished), 0, made.begun
    while done < len(ready):
        now = max(now, ready[done])
        upto = int(np.searchsorted(ready, now, side="right"))
        now += costs.commit + costs.commit_each * sets + costs.commit_shard * (upto - done)
        done, made.commits = upto, made.commits + 1
    made.seconds = float(now)


def vary(costs: Costs, names: dict[str, str], factor: float) -> Iterator[tuple[str, Costs]]:
    """Yield costs with one of them multiplied by a factor, with its title."""
    for name, title in names.items():
        yield title, replace(costs, **{name: factor * getattr(costs, name)})


@dataclass(frozen=True)
class Rows:
    """What a gradient costs whose rows are divided over devices.

    Attributes:
        gradient: Seconds of a gradient without rows.
        row: Seconds of a row on one device.
        together: The same two, where devices that share a memory work at the same time; by default
            as alone.
        latency: Seconds of a sum over two devices, whatever its size.
        bytes: Bytes a second that a device sends and receives.
    """

    gradient: float
    row: float
    latency: float = 0.0
    bytes: float = np.inf
    together: tuple[float, float] | None = None

    def on_devices(self, rows: float, devices: int) -> float:
        """Return the seconds of a gradient without the sum over devices."""
        alone = self.gradient, self.row
        fixed, each = alone if devices == 1 else self.together or alone
        return fixed + each * rows / devices

    def seconds(self, rows: float, devices: int, summed: float) -> float:
        """Return the seconds of a gradient.

        A sum over devices takes log2(devices) times the latency of one between two, and each device
        sends and receives 2 (devices - 1) / devices of the bytes. Source: Thakur, Rabenseifner &
        Gropp (2005), Optimization of collective communication operations in MPICH, section 4.5.

        Args:
            rows: Number of rows.
            devices: Number of devices.
            summed: Bytes of the value and gradient.
        """
        sent = 2 * (devices - 1) / devices * summed / self.bytes
        return self.on_devices(rows, devices) + self.latency * np.log2(devices) + sent


def fit_line(sizes: list[float], seconds: list[float]) -> tuple[float, float]:
    """Return the fixed and the marginal cost of a line by relative least squares."""
    x, y = np.asarray(sizes, float), np.asarray(seconds, float)
    columns = np.stack([np.ones_like(x), x], 1) / y[:, None]
    fixed, each = np.linalg.lstsq(columns, np.ones_like(y), rcond=None)[0]
    return float(fixed), float(each)
