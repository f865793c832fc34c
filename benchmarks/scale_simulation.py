"""Simulate many data sets on many workers; nothing is measured here.

Workers take the next shard whenever they are idle, as with Dask. One process makes the models,
hands out tasks and commits finished shards in order; all workers write to one store. Where the
calling process and its workers are on one machine, they share its cores.
`benchmarks/scale_model.py` measures what `Costs` has, and predicts.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Costs:
    """What a call costs, in seconds unless it says otherwise.

    Seconds of work are those that it takes if nothing else needs the cores.

    Attributes:
        begin: What the calling process does before the first task, without data sets.
        begin_each: The same for each data set: its model, its place in the stack, its hash.
        hand_out: What the calling process and the scheduler do for each task, one by one.
        ready: From a worker's start until it takes tasks.
        load: What the first task of each worker takes longer because it imports the library.
        compile: What it takes longer because it compiles.
        compile_cores: Cores that compiling uses at once, if they are free.
        shard: A task without data sets.
        each: A data set.
        task_cores: Cores that a task uses at once, since a worker has other threads, too.
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
        cores: Cores that the calling process and all workers share; infinite if each worker has one
            of its own, and the calling process as well.
    """

    begin: float = 0.0
    begin_each: float = 0.0
    hand_out: float = 0.0
    ready: float = 0.0
    load: float = 0.0
    compile: float = 0.0
    compile_cores: float = 1.0
    shard: float = 0.0
    each: float = 0.0
    task_cores: float = 1.0
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
    cores: float = np.inf


@dataclass
class Outcome:
    """What a simulated call took.

    Attributes:
        seconds: From the call to its result.
        begun: Seconds until the first task could begin.
        sampled: Seconds until the last shard was in the store.
        busy: Seconds of work of all workers together, lost work included.
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


Then = Callable[[], None]


class Machine:
    """Jobs that share cores, and waits that need none.

    If jobs ask for more cores than there are, all slow down alike. So `worked`, the seconds of work
    that a job has had if it was there all along, tells when each of them ends, and no other job
    needs to be looked at when one begins or ends.

    Attributes:
        now: Seconds since the beginning.
        worked: Seconds of work that each job has had.
    """

    def __init__(self, cores: float) -> None:
        self.now = self.worked = 0.0
        self._cores, self._asked, self._order = cores, 0.0, count()
        # When it ends (in seconds of work), a number that settles ties, its cores, what follows.
        self._jobs: list[tuple[float, int, float, Then]] = []
        self._waits: list[tuple[float, int, Then]] = []

    def work(self, seconds: float, then: Then, cores: float = 1.0) -> None:
        """Begin a job; when it has ended, `then` is called."""
        heapq.heappush(self._jobs, (self.worked + seconds, next(self._order), cores, then))
        self._asked += cores

    def wait(self, until: float, then: Then) -> None:
        """Call `then` at that time."""
        heapq.heappush(self._waits, (until, next(self._order), then))

    def next_time(self) -> float:
        """Return when something happens next; infinity if nothing does."""
        return min(self._next_end(), self._waits[0][0] if self._waits else np.inf)

    def _next_end(self) -> float:
        if not self._jobs:
            return np.inf
        left = self._jobs[0][0] - self.worked
        # Cores that are not shared make no difference, not even by rounding.
        return self.now + left * max(1.0, self._asked / self._cores)

    def step(self) -> None:
        """Go on to what happens next, and let it happen."""
        ends, when = self._next_end(), self.next_time()
        if ends <= when:
            end, _, cores, then = heapq.heappop(self._jobs)
            self.now, self.worked = when, end
            # No rounding is left when nothing runs.
            self._asked = self._asked - cores if self._jobs else 0.0
        else:
            slower = max(1.0, self._asked / self._cores)
            self.worked += (when - self.now) / slower
            self.now = when
            then = heapq.heappop(self._waits)[2]
        then()


class Stage(NamedTuple):
    """A part of a task: seconds of work, on so many cores at once."""

    seconds: float
    cores: float = 1.0


def simulate(costs: Costs, sets: int, shard: int, workers: int, seed: int = 0) -> Outcome:
    """Simulate a call that samples so many data sets in shards on some workers.

    Args:
        costs: What it costs.
        sets: Number of data sets.
        shard: Number of data sets in a shard.
        workers: Number of workers, of one thread each.
        seed: For the times of shards, the speeds of workers and their losses.
    """
    return _Call(costs, sets, shard, workers, np.random.default_rng(seed)).run()


class _Call:
    """A call that is simulated; each method is something that happens."""

    def __init__(
        self, costs: Costs, sets: int, shard: int, workers: int, rng: np.random.Generator
    ) -> None:
        sizes = np.full(-(-sets // shard), shard)
        sizes[-1] = sets - shard * (len(sizes) - 1)
        self.costs, self.sets, self.rng = costs, sets, rng
        self.own = (costs.shard + costs.each * sizes) * _around_one(rng, costs.spread, len(sizes))
        self.written = costs.bytes_each * sizes
        self.slowness = _around_one(rng, costs.unlike, workers)
        self.machine = Machine(costs.cores)
        self.made = Outcome(finished=np.full(len(sizes), np.inf))
        self.left, self.idle = deque(range(len(sizes))), list[int]()
        self.warm = np.zeros(workers, bool)
        self.is_handing = self.is_committing = False
        self.stored, self.done = 0.0, 0

    def run(self) -> Outcome:
        """Let everything happen."""
        costs, machine, made = self.costs, self.machine, self.made
        machine.work(costs.begin + costs.begin_each * self.sets, self.begin)
        while np.isfinite(when := machine.next_time()):
            machine.step()
            # A commit has all shards that are ready at the same time.
            if machine.next_time() > when:
                self.commit()
        made.sampled = float(made.finished.max())
        return made

    def begin(self) -> None:
        self.made.begun = self.machine.now
        for worker in range(len(self.warm)):
            self.machine.wait(
                max(self.machine.now, self.costs.ready), partial(self.take_next, worker)
            )

    def take_next(self, worker: int) -> None:
        """Let an idle worker have the next task, when the scheduler gets to it."""
        self.idle.append(worker)
        self.hand_out()

    def hand_out(self) -> None:
        if self.left and self.idle and not self.is_handing:
            self.is_handing = True
            begin = partial(self.compute, self.idle.pop(0), self.left.popleft())
            self.machine.work(self.costs.hand_out, begin)

    def compute(self, worker: int, task: int) -> None:
        self.is_handing = False
        costs, slowness = self.costs, self.slowness[worker]
        stages = [Stage(slowness * self.own[task], costs.task_cores)]
        if not self.warm[worker]:
            first = (Stage(costs.load), Stage(costs.compile, costs.compile_cores))
            stages = [Stage(slowness * own.seconds, own.cores) for own in first] + stages
        self.warm[worker] = True
        takes = sum(own.seconds for own in stages)
        until = self.rng.exponential(1 / costs.lost) if costs.lost else np.inf
        self.made.busy += min(takes, until)
        ends = partial(self.lose if until < takes else self.write, worker, task)
        self.go_through(stages, until, ends)
        self.hand_out()

    def go_through(self, stages: list[Stage], until: float, then: Then) -> None:
        """Work on one stage after the other, at most until so many seconds of work are done."""
        if not stages or until <= 0:
            then()
            return
        (seconds, cores), *others = stages
        later = partial(self.go_through, others, until - seconds, then)
        self.machine.work(min(seconds, until), later, cores)

    def lose(self, worker: int, task: int) -> None:
        self.left.appendleft(task)
        self.made.repeated += 1
        self.warm[worker] = False
        back = self.machine.now + self.costs.restart
        self.machine.wait(back, partial(self.take_next, worker))
        self.hand_out()

    def write(self, worker: int, task: int) -> None:
        """Let a worker write its draws, while the store takes those of others as well."""
        costs, now = self.costs, self.machine.now
        self.stored = max(self.stored, now) + self.written[task] / costs.store_bytes
        ends = max(self.stored, now + self.written[task] / costs.worker_bytes)
        self.machine.wait(ends, partial(self.finish, worker, task))

    def finish(self, worker: int, task: int) -> None:
        self.made.finished[task] = self.machine.now
        self.take_next(worker)

    def commit(self) -> None:
        """Commit the shards that are ready, in the order of data sets, unless a commit goes on."""
        costs, upto = self.costs, self.done
        while upto < len(self.own) and np.isfinite(self.made.finished[upto]):
            upto += 1
        if upto > self.done and not self.is_committing:
            self.is_committing = True
            many, self.done = upto - self.done, upto
            seconds = costs.commit + costs.commit_each * self.sets + costs.commit_shard * many
            self.machine.work(seconds, self.end_commit)

    def end_commit(self) -> None:
        self.is_committing = False
        self.made.commits += 1
        self.made.seconds = self.machine.now


def _around_one(rng: np.random.Generator, spread: float, many: int) -> np.ndarray:
    """Draw numbers of a lognormal distribution with mean 1."""
    return np.exp(spread * rng.normal(size=many) - spread**2 / 2)


def fit_line(sizes: list[float], seconds: list[float]) -> tuple[float, float]:
    """Return the fixed and the marginal cost of a line by relative least squares."""
    x, y = np.asarray(sizes, float), np.asarray(seconds, float)
    columns = np.stack([np.ones_like(x), x], 1) / y[:, None]
    fixed, each = np.linalg.lstsq(columns, np.ones_like(y), rcond=None)[0]
    return float(fixed), float(each)
