"""Every error of the library: what is wrong, with its value, and a hint at the way out.

Library code raises these; only ``animegen.cli`` prints them and chooses the exit code.
"""

from __future__ import annotations


class AnimegenError(Exception):
    """Base of all errors raised on purpose. ``hint`` is one sentence on what to do next, or empty."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InvalidValue(AnimegenError, ValueError):
    """A value handed to the library does not fit its definition."""


class UsageError(AnimegenError):
    """The request contradicts itself or names something that does not exist."""

    exit_code = 2


class InputError(AnimegenError):
    """The input is missing, unreadable, truncated or holds no picture."""


class OutputError(AnimegenError):
    """The output cannot be written, cannot carry a stream, or exists already."""


class WeightsError(AnimegenError):
    """A weight file is missing, corrupt or cannot be fetched."""


class OpsError(AnimegenError):
    """The native ops cannot be built or loaded, or one of them failed."""


class PluginError(AnimegenError):
    """A plugin is unknown, broken or in conflict with another."""


class UnknownPlugin(PluginError):
    """No installed plugin has the name that was asked for."""

    exit_code = 2


class JobError(AnimegenError):
    """A job folder belongs to another request or is damaged."""

    exit_code = 2


class Cancelled(AnimegenError):
    """The user stopped the run; finished artefacts are kept."""

    exit_code = 130
