"""Errors of `infer`: each says where, what was found and how to mend it."""

from bijectors.errors import ExplainedError


class ModelError(ExplainedError):
    """A model that cannot be used as it stands; `where` names the site."""


class StartError(ExplainedError):
    """No usable starting point; `where` names the site or term at fault."""


class EngineError(ExplainedError):
    """An engine that cannot run on this density, or settings that make no sense."""


class SamplingWarning(UserWarning):
    """Something is wrong with a run's draws; see `infer.verdict`."""


class RunError(ExplainedError):
    """A run that cannot go on as asked."""
