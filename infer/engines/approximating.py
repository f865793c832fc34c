"""What engines share whose result is an approximation: how they hand over their distribution.

`infer.fit` takes any `Approximator`. It makes a run of `count_chains()` chains for each density,
advances it through its windows of warm-up and then to `final_draws` draws per chain, and calls
`conclude` on the host. The `Fitted` that this returns becomes an `infer.Approximation`, with draws,
importance ratios, an audit and findings like any other.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Self

import jax
import numpy as np

from ..numerics.collapse import divergence_from_prior, find_collapsed, pull_of_prior
from ..numerics.families.base import Distribution, Family
from ..numerics.stationarity import is_level
from ..numerics.trace import list_recorded_steps
from ..numerics.training import Batches
from ..target import Target
from .base import Draws, Engine, State, Tuning

# What a draw of an engine is that makes an approximation.
Unit = Literal["draws", "searches", "points", "epochs"]


class Ended(NamedTuple):
    """Where the chains of one density ended; all arrays are on the host.

    Attributes:
        target: The log density.
        draws: The last `final_draws` draws of its chains, with a leading axis of chains.
        tuning: The tuning of these draws.
        states: The last state of each chain, with a leading axis of chains in every leaf.
        call: `call(function, *arguments)` compiles and calls a function at module level, whose
            arguments are pytrees of arrays, such as the target.
    """

    target: Target
    draws: Draws
    tuning: Tuning
    states: State
    call: Callable[..., Any]


class Problem(NamedTuple):
    """What an engine itself knows to be wrong with what it found.

    Attributes:
        kind: The kind of the finding, which is a heading of docs/findings.md.
        found: What was found, in a sentence; `{along}` stands for the names of the coordinates,
            `{sites}` for those of their sites.
        advice: What to do next.
        along: Indices of the coordinates that it concerns, the worst first.
    """

    kind: str
    found: str
    advice: str
    along: tuple[int, ...] = ()


class ElboTrace(NamedTuple):
    """How the ELBO rose.

    Attributes:
        epoch: Numbers of the epochs, from 0, shape (epochs,).
        elbo: Mean ELBO of the steps of each, in nats; NaN if the density has no value.
        error: Standard error of that mean.
        divergence: Mean divergence from the prior of each, in nats, which is the expected log
            likelihood minus the ELBO; NaN, or `None`, if it is not known apart.
    """

    epoch: np.ndarray
    elbo: np.ndarray
    error: np.ndarray
    divergence: np.ndarray | None = None


class Fitted(NamedTuple):
    """What an engine found for one density.

    Attributes:
        distribution: The approximation, in the flat vector. If there is none, its parameters are
            NaN, `converged` is false, and `problems` say why.
        family: What messages call its family, such as "full_rank".
        converged: Whether the engine's own stopping rule was met.
        losses: Minus the mean ELBO of each of the last epochs, in nats; empty if the engine has
            no epochs.
        initial_elbo: ELBO of the first step, or with minibatches of the first epoch, in nats; NaN
            if unknown.
        problems: What the engine itself knows to be wrong.
        trace: ELBO of the epochs from the first to the last, if the engine has epochs.
        facts: What else is worth knowing, in a few words each, for the `repr`.
        n_gradients: Gradients that it took, with two for each Hessian product; 0 if unknown.
        paths: Distributions whose draws are resampled together, if there are several.
    """

    distribution: Distribution
    family: str
    converged: bool
    losses: np.ndarray = np.zeros(0)
    initial_elbo: float = np.nan
    problems: tuple[Problem, ...] = ()
    trace: ElboTrace | None = None
    facts: tuple[str, ...] = ()
    n_gradients: int = 0
    paths: tuple[Distribution, ...] = ()


class Approximator(Engine):
    """An engine whose result is a distribution.

    Attributes:
        final_draws: Draws per chain after warm-up.
        unit: What progress counts as its draws: "searches" for modes, whose states have the number
            of their steps as `n_steps`; "points" of paths; or "epochs", whose number users may
            limit.
    """

    result: ClassVar[Literal["draws", "optimum", "approximation"]] = "approximation"
    final_draws: ClassVar[int] = 1
    unit: ClassVar[Unit] = "draws"

    @abstractmethod
    def choose_family(self, size: int) -> Family:
        """Choose the family of the distribution that `conclude` will return.

        Only the shapes of its distributions matter; the audit is compiled for them while the
        engine runs.

        Args:
            size: Length of the flat vector.
        """

    @abstractmethod
    def conclude(self, ended: Ended) -> Fitted:
        """Make the distribution of one density, on the host, after the last draw."""

    def count_chains(self) -> int | None:
        """Return the number of chains for each density, such as searches from several starts.

        `None` leaves it to the cost of a gradient; see `infer.maximize`.
        """
        return 1

    def bind(self, sites: Mapping[str, slice], batches: Batches | None = None) -> Self:
        """Return the engine for a model, before anything is compiled.

        Args:
            sites: Where each site is in the flat vector.
            batches: How the fit goes through the data, if the model has minibatches.

        Raises:
            EngineError: The engine does not fit the model.
        """
        return self


def has_fallen(elbo: float, initial_elbo: float) -> bool:
    """Return whether a fit ended below where it began, by more than estimates from few draws vary.

    A fit that has diverged ends far below. False if one of the two is unknown (NaN).
    """
    return elbo < initial_elbo - 1 - 0.01 * abs(initial_elbo)


def average_epochs(
    family: Family, ended: Ended, settled: bool, initial_elbo: float, trace: np.ndarray,
    epochs: int, n_gradients: int,
) -> Fitted:  # fmt: skip
    """Average the distributions of the last epochs of one chain, whose draws are packed ones.

    Args:
        family: Their family.
        ended: The chain, with the statistic "elbo" of each epoch.
        settled: Whether the parameters have stopped moving.
        initial_elbo: As in `Fitted`.
        trace: ELBO, its standard error and perhaps the divergence at the recorded epochs; see
            `numerics.trace`.
        epochs: Epochs made.
        n_gradients: Gradients that they took.
    """
    elbo = ended.draws.stats["elbo"][0]
    is_sound = np.isfinite(elbo).all() and not has_fallen(float(elbo.mean()), initial_elbo)
    sound = not ended.target.has_value or bool(is_sound)
    steps = list_recorded_steps(epochs)
    return Fitted(
        family.average(ended.draws.positions[0], ended.target.size),
        family.name,
        settled and sound,
        -elbo,
        initial_elbo,
        trace=ElboTrace(steps, *trace[:, : len(steps)]),
        n_gradients=n_gradients,
    )


def find_problems(
    ended: Ended, fitted: Fitted, is_trained: bool, is_lost: bool
) -> tuple[Problem, ...]:
    """Return what is wrong with a fit by epochs.

    Args:
        ended: Where its chain ended, with the statistic "slope" of each epoch.
        fitted: What was found.
        is_trained: Whether it is mean-field, and was trained by a target that offers "parts".
        is_lost: Whether it has stopped moving without having settled.
    """
    collapse = _find_collapse(ended, fitted) if is_trained else ()
    return collapse + (_find_lost_steps(ended.draws.stats["slope"]) if is_lost else ())


def _find_collapse(ended: Ended, fitted: Fitted) -> tuple[Problem, ...]:
    """Return whether a mean-field fit has fallen back to the prior, as a problem.

    Args:
        ended: Where its chain ended; the target offers "parts".
        fitted: What was found.
    """
    q = fitted.distribution
    pulls = ended.call(pull_of_prior, ended.target, q, jax.random.key(0))
    collapsed = find_collapsed(divergence_from_prior(*map(np.asarray, pulls)))
    if not collapsed.any():
        return ()
    return (
        Problem(
            "collapsed_to_prior",
            f"{collapsed.mean():.1%} of the coordinates have fallen back to the prior and none has "
            "moved far from it, so the fit ignores the data: {sites}.",
            "Give a longer kl_warmup=, starts= that fit the data and a smaller initial_scale=, or "
            "a prior whose draws are plausible functions.",
            tuple(np.flatnonzero(collapsed).tolist()),
        ),
    )


def _find_lost_steps(slopes: np.ndarray) -> tuple[Problem, ...]:
    """Return whether a fit does not move although the log density is steep, as a problem.

    Args:
        slopes: Largest entry of the mean gradient of each epoch; see `numerics.stationarity`.
    """
    if is_level(slopes):
        return ()
    return (
        Problem(
            "unsettled_fit",
            "the fit did not settle: its steps are lost to rounding, although the log density "
            f"still rises by {slopes.min():.2g} nats within a standard deviation.",
            "Give starts= nearer to the mode, or compute in double precision: "
            'jax.config.update("jax_enable_x64", True).',
        ),
    )
