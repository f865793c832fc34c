"""Models after Bambi's example notebooks, on tables small enough to fit at once."""

from typing import NamedTuple

import bambi as bmb
import numpy as np
import pandas as pd

RNG = np.random.default_rng(11)


class Formula(NamedTuple):
    """A formula with its table.

    Attributes:
        page: The example that it follows.
        formula: The formula.
        family: The family of the response.
        table: The data.
        centered: Predictors whose mean Bambi subtracts, and adds again to the intercept of a fit.
    """

    page: str
    formula: str
    family: str
    table: pd.DataFrame
    centered: tuple[str, ...] = ()

    def make(self) -> bmb.Model:
        """Make the model."""
        return bmb.Model(self.formula, self.table, family=self.family)


def personality() -> pd.DataFrame:
    """Drug use explained by scores of a questionnaire."""
    scores = pd.DataFrame(RNG.normal(10, 2, (40, 3)), columns=["o", "c", "e"])
    noise = RNG.normal(size=40)
    return scores.assign(drugs=2 + 0.3 * scores["o"] - 0.2 * scores["c"] + 0.6 * noise)


def votes() -> pd.DataFrame:
    """Votes by age."""
    age = RNG.uniform(18, 90, 60)
    chance = 1 / (1 + np.exp(-0.04 * (age - 50)))
    return pd.DataFrame({"age": age, "vote": (RNG.random(60) < chance).astype(int)})


def absences() -> pd.DataFrame:
    """Days of absence by the score in mathematics."""
    math = RNG.uniform(-1, 1, 50)
    rate = np.exp(1.5 - 0.6 * math) * RNG.gamma(2.0, 0.5, 50)
    return pd.DataFrame({"math": math, "days": RNG.poisson(rate)})


def sleep() -> pd.DataFrame:
    """Reaction times of six subjects over five days."""
    subject, days = np.repeat(np.arange(6), 5), np.tile(np.arange(5.0), 6)
    level, slope = RNG.normal(250, 20, 6), RNG.normal(10, 5, 6)
    reaction = level[subject] + slope[subject] * days + RNG.normal(0, 15, 30)
    names = [f"subject {i}" for i in subject]
    return pd.DataFrame({"Reaction": reaction, "Days": days, "Subject": names})


def outliers() -> pd.DataFrame:
    """A line with three outliers."""
    x = np.linspace(0, 1, 30)
    y = 1 + 2 * x + 0.3 * RNG.normal(size=30)
    y[:3] += [5.0, 7.0, 4.0]
    return pd.DataFrame({"x": x, "y": y})


FORMULAS = {
    "multiple_regression": Formula(
        "Multiple linear regression (ESCS)", "drugs ~ o + c + e", "gaussian", personality(),
        ("o", "c", "e"),
    ),
    "votes": Formula(
        "Logistic regression (vote intention, ANES)", "vote ~ age", "bernoulli", votes(), ("age",)
    ),
    "absences": Formula(
        "Negative binomial regression (students' absence)", "days ~ math", "negativebinomial",
        absences(), ("math",),
    ),
    "sleep_study": Formula(
        "Hierarchical linear regression (sleepstudy)", "Reaction ~ Days + (Days | Subject)",
        "gaussian", sleep(), ("Days",),
    ),
    "robust_line": Formula("Robust linear regression", "y ~ x", "t", outliers(), ("x",)),
}  # fmt: skip
