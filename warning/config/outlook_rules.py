"""The rules of outlooks: [source.outlook] and outlook_folder in warning.toml, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator

from warning.config.configuration import OutlookFields, StoredField, WriteBackSettings
from warning.config.drafts import OutlookDraft, OutlookFieldDraft, SourceDraft, WarningFile
from warning.config.problems import Complaints, KeyPath, shown
from warning.domain.readings import AHEAD_VARIABLES
from warning.domain.units import units_of
from warning.domain.variables import Variable

_TABLE: KeyPath = ("source", "outlook")


def check_outlook(source: SourceDraft, complaints: Complaints) -> None:
    """Complain about every rule of [source.outlook] that is broken."""
    draft = source.outlook
    if draft is None:
        return
    if not list(_fields(draft)) and not any(path[:2] == _TABLE for path in complaints.unsound):
        complaints.add(
            _TABLE,
            found="no field",
            expected="the field of forecast rain, of planned release, or both",
            remedy='add: [source.outlook.rain_mm] with field = "rain" and unit = "mm"',
        )
    for variable, entry in _fields(draft):
        place = (*_TABLE, variable.value, "unit")
        if entry.unit not in units_of(variable) and place not in complaints.unsound:
            complaints.add(
                place,
                found=shown(entry.unit),
                expected=f"a unit that fits {variable}: {', '.join(units_of(variable))}",
                remedy=f'write for example: unit = "{units_of(variable)[0]}"',
            )
    _check_names(source, build_outlook(draft), complaints)


def check_one_place(draft: WarningFile, complaints: Complaints) -> None:
    """Complain where outlooks are to come from a folder and from the server: one of them would go unread."""
    folder = draft.forecast.outlook_folder if draft.forecast else None
    if folder is not None and draft.source is not None and draft.source.outlook is not None:
        complaints.add(
            ("forecast", "outlook_folder"),
            found="a folder beside [source.outlook]",
            expected="outlooks from one place: files or the server",
            remedy="remove outlook_folder, or the table [source.outlook]",
        )


def build_outlook(draft: OutlookDraft | None) -> OutlookFields | None:
    """Return what a draft comes to."""
    if draft is None:
        return None
    fields = {
        variable: StoredField(field=entry.field or "", unit=entry.unit or "", daily="last")
        for variable, entry in _fields(draft)
    }
    plain = draft.model_dump(include={"measurement", "issued_tag"}, exclude_none=True)
    return OutlookFields(fields=fields, **plain)


def _fields(draft: OutlookDraft) -> Iterator[tuple[Variable, OutlookFieldDraft]]:
    for variable in AHEAD_VARIABLES:
        entry: OutlookFieldDraft | None = getattr(draft, variable.value)
        if entry is not None:
            yield variable, entry


def _check_names(source: SourceDraft, outlook: OutlookFields | None, complaints: Complaints) -> None:
    """What is forecast must never come back as what was read, nor one tag mean two things."""
    if outlook is None:
        return
    written = WriteBackSettings(
        **(source.write_back.model_dump(exclude_none=True) if source.write_back else {})
    )
    taken = {source.measurement: "where the readings are"}
    if written.enabled:
        taken[written.measurement] = "where forecasts are written back"
    if outlook.measurement in taken:
        complaints.add(
            (*_TABLE, "measurement"),
            found=f"{shown(outlook.measurement)}, {taken[outlook.measurement]}",
            expected="a measurement of its own for outlooks",
            remedy='write measurement = "outlook", and have them written there',
        )
    if outlook.issued_tag == source.dam_tag:
        complaints.add(
            (*_TABLE, "issued_tag"),
            found=f"{shown(outlook.issued_tag)}, which is dam_tag",
            expected="the tag that holds the day of issue",
            remedy='write issued_tag = "issued_on"',
        )
