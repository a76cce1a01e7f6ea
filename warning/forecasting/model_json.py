"""A model's facts as plain JSON: for the manifest and for the journey to the child."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date
from math import isfinite
from typing import Any, Final

from warning.domain.screening_limits import bounds_from_json, bounds_to_json, limits_from_json, limits_to_json
from warning.domain.variables import Variable
from warning.forecasting.model import NetworkSpec, SiteFit, SiteScale

_SCALE_FIELDS: Final = tuple(field.name for field in fields(SiteScale))
_VARIABLES: Final = {variable.value: variable for variable in Variable}


def scale_to_json(scale: SiteScale) -> dict[str, Any]:
    """Return `scale` as plain JSON values."""
    plain: dict[str, Any] = {name: getattr(scale, name) for name in _SCALE_FIELDS}
    plain["variable"] = scale.variable.value
    for name in ("log_flow", "flow_gain", "greatest"):
        plain[name] = {variable.value: value for variable, value in plain[name].items()}
    return plain


def scale_from_json(plain: Mapping[str, Any]) -> SiteScale:
    """Read what `scale_to_json` wrote; raises KeyError, TypeError or ValueError on anything else."""
    parts = dict(plain)
    parts["variable"] = _VARIABLES[plain["variable"]]
    parts["log_flow"] = {_VARIABLES[v]: (float(c), float(s)) for v, (c, s) in plain["log_flow"].items()}
    for name in ("flow_gain", "greatest"):
        parts[name] = {_VARIABLES[variable]: float(value) for variable, value in plain[name].items()}
    for name in ("season", "traits"):
        parts[name] = tuple(float(value) for value in plain[name])
    return SiteScale(**parts)


def specs_to_json(specs: Sequence[NetworkSpec]) -> list[dict[str, Any]]:
    """Return the architectures as plain JSON values."""
    return [{"name": s.name, "kind": s.kind, "options": dict(s.options)} for s in specs]


def specs_from_json(plain: Sequence[Mapping[str, Any]]) -> tuple[NetworkSpec, ...]:
    """Read what `specs_to_json` wrote."""
    return tuple(NetworkSpec(str(s["name"]), str(s["kind"]), dict(s["options"])) for s in plain)


def site_to_json(site: SiteFit) -> dict[str, Any]:
    """Return what the model knows about one dam as plain JSON values; an unknown skill is null."""
    return {
        "scale": scale_to_json(site.scale),
        "train_end": site.train_end.isoformat(),
        "validation_end": site.validation_end.isoformat(),
        "bounds": bounds_to_json(site.bounds),
        "limits": limits_to_json(site.limits),
        "skill": [value if isfinite(value) else None for value in site.skill],
    }


def site_from_json(plain: Mapping[str, Any]) -> SiteFit:
    """Read what `site_to_json` wrote; raises KeyError, TypeError or ValueError on anything else."""
    return SiteFit(
        scale=scale_from_json(plain["scale"]),
        train_end=date.fromisoformat(plain["train_end"]),
        validation_end=date.fromisoformat(plain["validation_end"]),
        bounds=bounds_from_json(plain["bounds"]),
        limits=limits_from_json(plain["limits"]),
        skill=tuple(float("nan") if value is None else float(value) for value in plain["skill"]),
    )
