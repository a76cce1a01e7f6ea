"""The error family: every failure the program knows by name.

Each carries the exit status that the command line ends with when nothing catches it.
"""

from __future__ import annotations

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h: systemd does not restart on it


class DamWarningError(Exception):
    """Base of all errors that are explained to a person in one readable message."""

    exit_status = EXIT_FAILURE


class UsageError(DamWarningError):
    """The command was called with something it cannot work with."""

    exit_status = EXIT_USAGE


class ConfigurationError(DamWarningError):
    """The configuration was refused; the message names file, key, value, expectation and remedy."""

    exit_status = EXIT_CONFIGURATION


class SourceError(DamWarningError):
    """Readings could not be obtained, or not completely."""


class ModelError(DamWarningError):
    """A trained model is missing, damaged or does not fit what is asked of it."""


class ForecastError(DamWarningError):
    """The forecast child failed, timed out or answered something unusable."""


class JournalError(DamWarningError):
    """The record could not be opened, read or written."""


class DiskFullError(JournalError):
    """The record could not be written because its disk is full; once there is room it can."""
