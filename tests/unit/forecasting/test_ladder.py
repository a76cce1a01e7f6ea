"""The ladder GPU → CPU → cheap experts → nothing, each rung tested by breaking the one above."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from warning.domain.findings import FindingKind
from warning.domain.forecast import CNN_LSTM, LSTM_ENSEMBLE, POOL
from warning.domain.readings import ReadingSeries
from warning.domain.reservoir import Bounds
from warning.domain.variables import Variable
from warning.forecasting import ladder
from warning.forecasting.asking import ForecasterSettings, ForecastRequest
from warning.forecasting.forecaster import FleetForecast, Forecaster, hindcast
from warning.forecasting.pool import CHEAP_POOL, forecast_of
from warning.forecasting.process import WorkerCommand
from warning.forecasting.registry import PARAMETERS, Registry

Fleet = dict[str, ForecastRequest]
SeriesMaker = Callable[..., ReadingSeries]


def fake_worker(folder: Path, body: str) -> WorkerCommand:
    """A FAKE child: a script in place of the worker, run as `python script JOB_FOLDER`."""
    script = folder / "fake_worker.py"
    script.write_text(body, encoding="utf-8")
    return WorkerCommand((sys.executable, str(script)))


def ask(registry: Path, fleet: Fleet, now: datetime, **settings: object) -> FleetForecast:
    made = ForecasterSettings(**{"device": "cpu", "time_limit_s": 60, **settings})  # type: ignore[arg-type]
    return Forecaster(Registry(registry), made)(fleet, now)


def kinds(answer: FleetForecast) -> list[FindingKind]:
    return [finding.kind for finding in answer.findings]


def assert_cheap(answer: FleetForecast, fleet: Fleet, word: str) -> None:
    """Every dam has a forecast from the cheap experts that says why."""
    assert answer.forecasts.keys() == fleet.keys()
    for forecast in answer.forecasts.values():
        assert forecast.method == CHEAP_POOL
        assert forecast.model_id is None
        assert any(word in line for line in forecast.degraded), forecast.degraded
        assert CNN_LSTM not in forecast.members


def test_with_a_sound_model_the_networks_forecast_every_dam(
    tiny_registry: Path, fleet: Fleet, now: datetime
) -> None:
    answer = ask(tiny_registry, fleet, now)
    assert answer.findings == ()
    assert answer.forecasts.keys() == fleet.keys()
    for name, forecast in answer.forecasts.items():
        assert forecast.method == POOL
        assert forecast.degraded == ()
        assert forecast.basis_day == fleet[name].series.last_day
        assert {"lstm_03", "lstm_05", CNN_LSTM, LSTM_ENSEMBLE} <= forecast.members.keys()
        np.testing.assert_allclose(np.sum(list(forecast.weights.values()), axis=0), 1.0)


def test_the_daily_forecast_and_the_hindcast_give_the_same_digits(
    tiny_registry: Path, fleet: Fleet, now: datetime, cut_series: SeriesMaker
) -> None:
    """Row 690 of the hindcast over 700 days is the forecast of the record cut at its day."""
    model = Registry(tiny_registry).active()
    assert model is not None
    settings = ForecasterSettings(device="cpu", time_limit_s=60)
    whole = hindcast(model, fleet, settings)
    assert not whole.failures
    early = {
        name: ForecastRequest(name, cut_series(r.series, 691), r.variable, r.bounds)
        for name, r in fleet.items()
    }
    daily = ask(tiny_registry, early, now)
    for name, result in whole.results.items():
        index = int(np.flatnonzero(result.rows == 690)[0])
        then = forecast_of(result, name, now, model.model_id, index=index)
        forecast = daily.forecasts[name]
        assert then.basis_day == forecast.basis_day
        np.testing.assert_array_equal(forecast.quantiles, then.quantiles)
        np.testing.assert_array_equal(forecast.mean, then.mean)
        np.testing.assert_array_equal(forecast.skill, then.skill)
        for member in then.members:
            np.testing.assert_array_equal(forecast.members[member], then.members[member])


def test_without_torch_the_cheap_experts_forecast(
    tiny_registry: Path, fleet: Fleet, now: datetime, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch on this machine')", encoding="utf-8")
    worker = WorkerCommand(environment={"PYTHONPATH": str(tmp_path)})
    answer = ask(tiny_registry, fleet, now, worker=worker)
    assert_cheap(answer, fleet, "no torch on this machine")
    assert kinds(answer) == [FindingKind.NETWORKS_FAILED]


def test_a_corrupt_model_file_leaves_the_cheap_experts(
    tiny_registry: Path, fleet: Fleet, now: datetime, tmp_path: Path
) -> None:
    directory = tmp_path / "registry"
    shutil.copytree(tiny_registry, directory)
    parameters = next(directory.glob(f"models/*/{PARAMETERS}"))
    data = bytearray(parameters.read_bytes())
    data[-1] ^= 1
    parameters.write_bytes(data)
    answer = ask(directory, fleet, now)
    assert_cheap(answer, fleet, "SHA-256")
    assert kinds(answer) == [FindingKind.MODEL_UNUSABLE]


def test_a_child_that_hangs_is_ended_and_the_cheap_experts_forecast(
    tiny_registry: Path, fleet: Fleet, now: datetime, tmp_path: Path
) -> None:
    worker = fake_worker(tmp_path, "import time; time.sleep(600)")
    answer = ask(tiny_registry, fleet, now, worker=worker, time_limit_s=0.5)
    assert_cheap(answer, fleet, "did not finish within 0.5 s")
    assert kinds(answer) == [FindingKind.NETWORKS_FAILED]


def test_a_child_that_is_killed_by_a_signal_leaves_the_cheap_experts(
    tiny_registry: Path, fleet: Fleet, now: datetime, tmp_path: Path
) -> None:
    worker = fake_worker(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    answer = ask(tiny_registry, fleet, now, worker=worker)
    assert_cheap(answer, fleet, "SIGSEGV")


def test_a_child_that_answers_nonsense_leaves_the_cheap_experts(
    tiny_registry: Path, fleet: Fleet, now: datetime, tmp_path: Path
) -> None:
    body = (
        "import sys, pathlib; pathlib.Path(sys.argv[1], 'answer-0.json').write_text('[')\n"
        "print('{\"answered\": 0}')"
    )
    answer = ask(tiny_registry, fleet, now, worker=fake_worker(tmp_path, body))
    assert_cheap(answer, fleet, "unusable")


SPOILING_WORKER = """
# FAKE: the real worker, but its answer is spoilt for one dam before it is handed over
import sys
import numpy as np
from warning.forecasting import exchange, worker
def spoilt(answer, pack=exchange.pack_answer):
    plain, arrays = pack(answer)
    for birch in [entry for entry in plain["results"] if entry["id"] == "birch"]:
        {how}
    return plain, arrays
worker.pack_answer = spoilt
sys.exit(worker.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("arrays['result/quantiles'].reshape(3, -1)[birch['set']] = np.nan", "unusable"),
        ("plain['results'].remove(birch)", "left it out"),
    ],
)
def test_what_is_wrong_at_one_dam_costs_no_other_its_networks(
    tiny_registry: Path, fleet: Fleet, now: datetime, tmp_path: Path, how: str, word: str
) -> None:
    worker = fake_worker(tmp_path, SPOILING_WORKER.format(how=how))
    answer = ask(tiny_registry, fleet, now, worker=worker)
    assert [answer.forecasts[name].method for name in fleet] == [POOL, CHEAP_POOL, POOL]
    assert [(f.kind, f.reservoir_id) for f in answer.findings] == [(FindingKind.NETWORKS_FAILED, "birch")]
    assert any(word in line for line in answer.forecasts["birch"].degraded)
    assert answer.forecasts["alder"].degraded == ()


DYING_WORKER = """
# FAKE: the real worker, but it dies as it takes the second batch
import os, signal, sys
from warning.forecasting import worker
real = worker.take_folder
def deadly(folder, name):
    if name == "batch-1":
        os.kill(os.getpid(), signal.SIGSEGV)
    return real(folder, name)
worker.take_folder = deadly
sys.exit(worker.main(sys.argv[1:]))
"""


def test_a_child_that_dies_at_its_work_costs_no_dam_the_forecast_that_it_had_made(
    tiny_registry: Path, fleet: Fleet, now: datetime, tmp_path: Path, cut_series: SeriesMaker
) -> None:
    """Birch has no standing any more, so it is asked for after the others; cedar has, and comes first."""
    early = replace(fleet["birch"], series=cut_series(fleet["birch"].series, 600))
    worker = fake_worker(tmp_path, DYING_WORKER)
    answer = ask(tiny_registry, {**fleet, "birch": early}, now, worker=worker)
    assert [answer.forecasts[name].method for name in fleet] == [POOL, CHEAP_POOL, POOL]
    (finding,) = answer.findings
    assert finding.kind is FindingKind.NETWORKS_FAILED
    assert "before they came to 1 of 3 dams (birch): " in finding.message
    assert "SIGSEGV" in finding.message
    assert "SIGSEGV" in answer.forecasts["birch"].degraded[0]
    assert answer.forecasts["cedar"].degraded == ()


NAN_NETWORKS = """
# FAKE: the real worker, but every network answers NaN
import sys
import numpy as np
from warning.forecasting import networks, worker
real = networks.predict_many
def silent(*a, **k):
    return [{name: np.full(z.shape, np.nan) for name, z in own.items()} for own in real(*a, **k)]
networks.predict_many = silent
sys.exit(worker.main(sys.argv[1:]))
"""


def test_networks_that_answer_nan_are_named_and_the_pool_goes_without(
    tiny_registry: Path, fleet: Fleet, now: datetime, tmp_path: Path
) -> None:
    fresh = tmp_path / "registry"  # nothing that sound networks answered is remembered there
    shutil.copytree(tiny_registry, fresh, ignore=shutil.ignore_patterns("recent"))
    answer = ask(fresh, fleet, now, worker=fake_worker(tmp_path, NAN_NETWORKS))
    assert kinds(answer) == [FindingKind.NETWORKS_FAILED] * 3
    for forecast in answer.forecasts.values():
        assert np.isfinite(forecast.mean).all()
        assert "no number from lstm_03, lstm_05, cnn_lstm" in forecast.degraded[0]
        assert CNN_LSTM not in forecast.members


BREAKING_GPU = """
# FAKE: dies as a broken GPU does when it is to use one, and is the real worker on the CPU
import json, os, signal, sys
from pathlib import Path
from warning.forecasting import worker
if json.loads(Path(sys.argv[1], "job.json").read_text())["device"] != "cpu":
    print(json.dumps({"device": "cuda"}), flush=True)
    os.kill(os.getpid(), signal.SIGABRT)
sys.exit(worker.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_when_the_gpu_fails_the_cpu_takes_over(
    tiny_registry: Path, fleet: Fleet, now: datetime, tmp_path: Path, device: str
) -> None:
    answer = ask(tiny_registry, fleet, now, worker=fake_worker(tmp_path, BREAKING_GPU), device=device)
    assert kinds(answer) == [FindingKind.NETWORKS_FAILED]
    for forecast in answer.forecasts.values():
        assert forecast.method == POOL
        assert "GPU failed" in forecast.degraded[0]


def test_a_gpu_that_is_asked_for_and_absent_is_a_finding_and_the_cpu_forecasts(
    tiny_registry: Path, fleet: Fleet, now: datetime
) -> None:
    worker = WorkerCommand(environment={"CUDA_VISIBLE_DEVICES": ""})
    answer = ask(tiny_registry, fleet, now, worker=worker, device="cuda")
    assert kinds(answer) == [FindingKind.NETWORKS_FAILED]
    assert {f.method for f in answer.forecasts.values()} == {POOL}


def test_without_any_model_the_cheap_experts_forecast_and_say_so(
    fleet: Fleet, now: datetime, tmp_path: Path
) -> None:
    answer = ask(tmp_path / "nothing", fleet, now)
    assert_cheap(answer, fleet, "no model has been trained yet")
    assert kinds(answer) == [FindingKind.NO_MODEL]


def test_a_large_fleet_without_networks_is_forecast_from_its_newest_days_alone(
    tmp_path: Path, fleet: Fleet, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole past of ten thousand dams would take hours, and warnings with it."""
    name = next(iter(fleet))
    monkeypatch.setattr(ladder, "SHORT_PAST_DAYS", 300)
    whole = ask(tmp_path, fleet, now).forecasts[name]
    monkeypatch.setattr(ladder, "MOST_WHOLE_PASTS", len(fleet) - 1)
    short = ask(tmp_path, fleet, now)
    assert_cheap(short, fleet, "no model")
    assert_cheap(short, fleet, "newest 300 days")
    assert short.forecasts[name].basis_day == whole.basis_day
    assert not np.array_equal(short.forecasts[name].mean, whole.mean)
    assert np.abs(short.forecasts[name].mean - whole.mean).max() < np.ptp(whole.quantiles[-1])


@pytest.mark.parametrize("days", [2, 20, 59, 100])
def test_a_short_history_gets_a_forecast_and_a_finding(
    make_series: SeriesMaker, now: datetime, tmp_path: Path, days: int
) -> None:
    request = ForecastRequest("young", make_series(days), Variable.LEVEL_M, Bounds(80, 130))
    answer = ask(tmp_path, {"young": request}, now)
    forecast = answer.forecasts["young"]
    last = request.series.values[Variable.LEVEL_M][-1]
    assert forecast.quantiles[0, 0] < last < forecast.quantiles[0, -1]
    expected = {FindingKind.NO_MODEL} | ({FindingKind.SHORT_HISTORY} if days < 60 else set())
    assert set(kinds(answer)) == expected


@pytest.fixture(scope="module")
def troubled(
    tiny_registry: Path, fleet: Fleet, now: datetime, make_series: SeriesMaker, make_flagged: SeriesMaker
) -> tuple[Fleet, FleetForecast]:
    """One call for a fleet in which every dam but alder has a trouble of its own."""
    level = fleet["alder"].series.values[Variable.LEVEL_M]
    others = {Variable.INFLOW_M3S: fleet["alder"].series.values[Variable.INFLOW_M3S]}
    risen, mistaken = level.copy(), level.copy()
    risen[-1], mistaken[-1] = level.max() + 4, 129.0
    series = {
        "empty": make_flagged({Variable.LEVEL_M: np.full(700, np.nan)}),
        "alder": fleet["alder"].series,
        "birch": make_flagged(fleet["birch"].series.values, {Variable.LEVEL_M: list(range(680, 700))}),
        "cedar": make_flagged({Variable.LEVEL_M: mistaken, **others}, {Variable.LEVEL_M: [699]}),
        "dogwood": make_series(seed=9),
        "elm": make_flagged({Variable.LEVEL_M: risen, **others}),
        "fir": make_series(days=100),
    }
    bounds = Bounds(50, 150)
    requests = {name: ForecastRequest(name, s, Variable.LEVEL_M, bounds) for name, s in series.items()}
    return requests, ask(tiny_registry, requests, now)


def found_at(answer: FleetForecast, name: str) -> set[FindingKind]:
    return {finding.kind for finding in answer.findings if finding.reservoir_id == name}


def test_a_sound_dam_among_troubled_ones_is_forecast_in_full(troubled: tuple[Fleet, FleetForecast]) -> None:
    _, answer = troubled
    assert answer.forecasts["alder"].method == POOL
    assert answer.forecasts["alder"].degraded == ()
    assert found_at(answer, "alder") == set()


def test_a_dam_without_any_reading_has_no_forecast_but_a_finding(
    troubled: tuple[Fleet, FleetForecast],
) -> None:
    _, answer = troubled
    assert "empty" not in answer.forecasts
    assert found_at(answer, "empty") == {FindingKind.NO_FORECAST}
    assert any("no reading of level_m" in finding.message for finding in answer.findings)


def test_a_dam_whose_readings_are_all_doubted_for_weeks_has_no_forecast_but_a_finding(
    troubled: tuple[Fleet, FleetForecast],
) -> None:
    _, answer = troubled
    assert "birch" not in answer.forecasts
    assert FindingKind.NO_FORECAST in found_at(answer, "birch")


def test_a_doubted_newest_reading_is_not_what_the_forecast_starts_from(
    troubled: tuple[Fleet, FleetForecast],
) -> None:
    fleet, answer = troubled
    forecast = answer.forecasts["cedar"]
    believed = fleet["cedar"].series.values[Variable.LEVEL_M][-2]
    assert forecast.basis_day == fleet["cedar"].series.last_day
    assert forecast.members["persistence"][0] == believed
    assert abs(forecast.mean[0] - believed) < 3


def test_a_dam_that_the_model_does_not_know_is_forecast_and_named(
    troubled: tuple[Fleet, FleetForecast],
) -> None:
    _, answer = troubled
    assert CNN_LSTM in answer.forecasts["dogwood"].members
    assert answer.forecasts["dogwood"].degraded == ("the model was not trained on this dam",)
    assert FindingKind.UNKNOWN_TO_MODEL in found_at(answer, "dogwood")


def test_an_unknown_dam_with_a_short_record_goes_without_the_networks(
    troubled: tuple[Fleet, FleetForecast],
) -> None:
    _, answer = troubled
    assert answer.forecasts["fir"].method == CHEAP_POOL
    assert {FindingKind.UNKNOWN_TO_MODEL, FindingKind.SHORT_HISTORY} <= found_at(answer, "fir")
    assert any("the networks need 365" in line for line in answer.forecasts["fir"].degraded)


def test_a_record_that_ends_inside_the_training_part_is_forecast_without_the_networks(
    tiny_registry: Path, fleet: Fleet, now: datetime, cut_series: SeriesMaker
) -> None:
    """Networks that learnt from the days to be forecast would only seem to know them."""
    early = ForecastRequest("alder", cut_series(fleet["alder"].series, 400), Variable.LEVEL_M)
    answer = ask(tiny_registry, {"alder": early}, now)
    assert answer.forecasts["alder"].method == CHEAP_POOL
    assert kinds(answer) == [FindingKind.SHORT_HISTORY]
    assert "training part of this dam ended" in answer.findings[0].message


def test_a_known_dam_that_no_longer_reports_its_variable_costs_no_other_its_forecast(
    tiny_registry: Path, fleet: Fleet, now: datetime, make_flagged: SeriesMaker
) -> None:
    flows = {Variable.INFLOW_M3S: fleet["alder"].series.values[Variable.INFLOW_M3S]}
    requests = {**fleet, "alder": ForecastRequest("alder", make_flagged(flows), Variable.LEVEL_M)}
    answer = ask(tiny_registry, requests, now)
    assert [answer.forecasts[name].method for name in ("birch", "cedar")] == [POOL, POOL]
    assert found_at(answer, "alder") == {FindingKind.NO_FORECAST}


def test_inputs_beyond_what_was_seen_are_a_finding(troubled: tuple[Fleet, FleetForecast]) -> None:
    fleet, answer = troubled
    forecast = answer.forecasts["elm"]
    assert FindingKind.OUT_OF_RANGE_INPUT in found_at(answer, "elm")
    assert forecast.out_of_range
    assert forecast.quantiles[6, -1] > fleet["elm"].series.values[Variable.LEVEL_M][-1]


def test_the_daemon_side_never_imports_torch_or_lightning() -> None:
    code = (
        "import sys; import warning.forecasting.forecaster, warning.forecasting.trainer; "
        "print([m for m in ('torch', 'pytorch_lightning', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"


def test_the_child_needs_no_more_than_numpy_and_torch_to_start() -> None:
    code = (
        "import sys; import warning.forecasting.worker; "
        "print([m for m in ('safetensors', 'pydantic', 'sqlalchemy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
