"""Which of InfluxDB's two query languages a server is asked in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from warning.errors import SourceError
from warning.sources.influx_transport import InfluxTransport


@dataclass(frozen=True, slots=True)
class Dialect:
    """`flux` or InfluxQL; `major` is the server's version where it was asked, else None."""

    flux: bool
    major: int | None

    @property
    def binds_params(self) -> bool:
        """Whether the server binds `params` in InfluxQL: 1 and 2 do, 3 takes literals alone."""
        return self.major in (1, 2)

    @property
    def says_nothing_when_empty(self) -> bool:
        """Whether an empty body may mean an empty answer in InfluxQL; 1 and 2 always send a result."""
        return self.major not in (1, 2)


def dialect_of(transport: InfluxTransport) -> Dialect:
    """Return the configured dialect, or by the server's version Flux for 2 and InfluxQL for 1 and 3.

    Raises SourceError where the server does not answer, or not with a version that is known.
    """
    configured = transport.settings.dialect
    if configured != "auto":
        return Dialect(configured == "flux", None)
    version = transport.server_version()
    found = re.match(r"v?([123])\.", version)
    if found is None:
        raise SourceError(
            f"{transport.where}: the server's version is {version!r}, expected InfluxDB 1, 2 or 3; "
            'set dialect of the source to "flux" or "influxql"'
        )
    major = int(found[1])
    return Dialect(major == 2, major)
