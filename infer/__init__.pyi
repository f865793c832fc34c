"""Probabilistic inference on JAX: models, engines, runs and results.

Read the house from the ground up: models, density, engines, run, output.
"""

from . import pymc as pymc
from .density.base import LogDensity as LogDensity, log_density as log_density
from .density.check import check as check
from .density.explain import explain as explain
from .density.explanation import Explanation as Explanation
from .density.jitter import Jitter as Jitter
from .engines.advi import ADVI as ADVI
from .engines.base import Engine as Engine
from .engines.batch_and_match import BatchAndMatch as BatchAndMatch
from .engines.blackjax import BlackJAX as BlackJAX
from .engines.dadvi import DADVI as DADVI
from .engines.differential_evolution import DEMetropolis as DEMetropolis
from .engines.gibbs import Gibbs as Gibbs
from .engines.hmc import HMC as HMC
from .engines.laplace import Laplace as Laplace
from .engines.map import MAP as MAP
from .engines.nuts import NUTS as NUTS
from .engines.pathfinder import Pathfinder as Pathfinder
from .engines.random_walk import RandomWalk as RandomWalk
from .engines.slice import Slice as Slice
from .errors import (
    CallError as CallError,
    EngineError as EngineError,
    FitWarning as FitWarning,
    Interrupted as Interrupted,
    ModelError as ModelError,
    ModelWarning as ModelWarning,
    RunError as RunError,
    SamplingWarning as SamplingWarning,
    StartError as StartError,
)
from .models.fronts.declared import declared as declared
from .models.fronts.dsl.model import model as model
from .models.fronts.numpyro.model import from_numpyro as from_numpyro
from .models.fronts.pymc.model import from_pymc as from_pymc
from .models.fronts.stan.model import from_stan as from_stan
from .models.fronts.tfp import from_tfp as from_tfp
from .models.fronts.tree.leaf import Leaf as Leaf
from .models.fronts.tree.model import tree_model as tree_model
from .models.fronts.tree.parameter import Parameter as Parameter
from .models.inputs.data import data as data, static as static
from .models.model import Model as Model
from .models.priors.score import ScorePrior as ScorePrior
from .models.protocol.minibatch import kl_weights as kl_weights
from .numerics.families.blocks import Blocks as Blocks
from .numerics.families.flow import Flow as Flow
from .numerics.families.full_rank import FullRank as FullRank
from .numerics.families.low_rank import LowRank as LowRank
from .numerics.families.mean_field import MeanField as MeanField
from .output.background import (
    BackgroundRun as BackgroundRun,
    sample_in_background as sample_in_background,
)
from .output.choose import choose as choose
from .output.data.arviz import to_arviz as to_arviz
from .output.evidence.call import Evidence as Evidence, evidence as evidence
from .output.finding import Finding as Finding, explain_finding as explain_finding
from .output.fit import fit as fit
from .output.fitted.approximation import Approximation as Approximation
from .output.fitted.by_site import optimize_by_site as optimize_by_site
from .output.fitted.optimum import Optimum as Optimum
from .output.judge.divergences import (
    Divergences as Divergences,
    explain_divergences as explain_divergences,
)
from .output.judge.nested import nested_rhat as nested_rhat
from .output.judge.slowness import Slowness as Slowness, why_slow as why_slow
from .output.judge.until import Until as Until
from .output.judge.verdict import Verdict as Verdict, verdict as verdict
from .output.maximize import maximize as maximize
from .output.predictive.calibrate import calibrate as calibrate
from .output.predictive.calibration import Calibration as Calibration
from .output.predictive.pointwise import log_likelihood as log_likelihood, log_prior as log_prior
from .output.predictive.predict import predict as predict
from .output.predictive.prediction_scores import PredictionScores as PredictionScores
from .output.predictive.prior import sample_prior as sample_prior
from .output.predictive.recover import recover as recover
from .output.predictive.score_predictions import score_predictions as score_predictions
from .output.predictive.trees import map_trees as map_trees, tree_of as tree_of
from .output.report.file import report as report
from .output.resume import resume as resume
from .output.sample import sample as sample
from .output.stored.opened import open as open
from .output.tuned import save_tuning as save_tuning
from .programs.cached import cache as cache
from .programs.switch import native as native
from .run.choice import Choice as Choice
from .run.ladder import Ladder as Ladder
from .run.run import Run as Run
from .run.start import start as start
from .run.tempered import Tempered as Tempered
from .target import Target as Target
from .version import __version__ as __version__
