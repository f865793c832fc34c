"""The version of the package; `pyproject.toml` states it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("pushforward")
except PackageNotFoundError:
    __version__ = "unknown"
