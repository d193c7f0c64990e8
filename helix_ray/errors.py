"""Every error that helix_ray raises on purpose.

    HelixError
    ├── StartError              exit 2: nothing was started, sent or stored
    │   ├── ConfigError         the configuration file or an override
    │   ├── InputError          a reads, reference or pairs file
    │   ├── MissingSecretError  a key that the configuration needs is not set
    │   ├── HomeBusyError       another run is live in this HELIX_HOME
    │   ├── RunBusyError        this run is written by another process
    │   └── DatabaseUnavailableError
    ├── AttachError             no live run to talk to
    ├── DatabaseLostError       exit 1: the database did not come back within its deadline
    ├── DriverGoneError         the process in charge of the run has ended: nothing more is sent
    └── InvariantError          exit 1: a bound that must hold was broken; a defect of ours

All arguments are positional and reach ``super().__init__``: an error that keeps some of them to itself cannot be unpickled
on the far side of an actor boundary. The message says what happened and what to do.
"""

from __future__ import annotations


class HelixError(Exception):
    """Something that helix_ray knows how to explain."""

    exit_code = 1


class StartError(HelixError):
    """The run cannot start. Nothing was started, sent or stored."""

    exit_code = 2


class ConfigError(StartError):
    """The configuration is not valid; every problem found, one per line."""

    def __init__(self, source: str, problems: list[str]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{self.source}: {problem}" for problem in self.problems)


class InputError(StartError):
    """An input file cannot be used: the file, the line or record, what was found, what is allowed."""


class MissingSecretError(StartError):
    """A secret that the configuration needs is missing from the environment."""


class HomeBusyError(StartError):
    """Another run is live in this HELIX_HOME."""


class RunBusyError(StartError):
    """Another process, perhaps of another home or machine, writes this run."""


class DatabaseUnavailableError(StartError):
    """PostgreSQL cannot be reached or used."""


class AttachError(HelixError):
    """There is no live run to attach to."""


class DatabaseLostError(HelixError):
    """The database was lost and did not come back within its deadline."""


class DriverGoneError(HelixError):
    """The process in charge of the run has ended, so nothing more is sent. The run can be resumed."""


class InvariantError(HelixError):
    """A bound that must always hold was broken. This is a defect in helix_ray: please report it."""
