"""The child and its keeper: time limits, signals, floods of output, orphans, unusable answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from warning.child import Message
from warning.clock import monotonic_s
from warning.errors import ForecastError
from warning.forecasting.exchange import read_folder, unpack_answer, write_folder
from warning.forecasting.process import WorkerCommand, ask_child, ask_in_batches, run_child

REPOSITORY = Path(__file__).resolve().parents[3]


def script(folder: Path, body: str) -> WorkerCommand:
    """A FAKE child: `body` is run with the job's folder as its argument."""
    path = folder / "fake_worker.py"
    path.write_text(body, encoding="utf-8")
    return WorkerCommand((sys.executable, str(path)))


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_dead(pid: int, within_s: float = 10.0) -> bool:
    deadline = monotonic_s() + within_s
    while alive(pid) and monotonic_s() < deadline:
        signal.sigtimedwait([], 0.02)
    return not alive(pid)


def test_a_job_goes_in_and_its_result_comes_back(tmp_path: Path) -> None:
    body = (
        "import json, pathlib, sys, numpy as np\n"
        "f = pathlib.Path(sys.argv[1])\n"
        "job = json.loads((f / 'job.json').read_text())\n"
        "x = np.load(f / 'job.npz')['x']\n"
        "np.savez(f / 'result.npz', y=2 * x)\n"
        "(f / 'result.json').write_text(json.dumps({'said': job['say']}))\n"
    )
    plain, arrays = ask_child(
        {"say": "hello"}, {"x": np.arange(3.0)}, command=script(tmp_path, body), time_limit_s=30
    )
    assert plain == {"said": "hello"}
    np.testing.assert_array_equal(arrays["y"], [0, 2, 4])


DOUBLING = """
import json, os, pathlib, sys, numpy as np
folder = pathlib.Path(sys.argv[1])
while ticket := os.read(0, 8):
    number = int(ticket)
    x = np.load(folder / f"batch-{number}.npz")["x"]
    np.savez(folder / f"answer-{number}.npz", y=2 * x)
    (folder / f"answer-{number}.json").write_text(json.dumps({"number": number}))
    print(json.dumps({"answered": number}), flush=True)
print(json.dumps({"left": sorted(path.name for path in folder.glob("answer-*"))}), flush=True)
"""


def test_batches_go_in_one_after_the_other_and_each_answer_comes_back(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    said: list[Message] = []
    ask_in_batches(
        {},
        {},
        (({}, {"x": np.array([number])}) for number in range(2000)),
        lambda plain, arrays: heard.append((plain["number"], int(arrays["y"][0]))),
        command=script(tmp_path, DOUBLING),
        time_limit_s=60,
        on_message=said.append,
    )
    assert heard == [(number, 2 * number) for number in range(2000)]
    assert [list(message) for message in said] == [["left"]]


def test_a_batch_that_cannot_be_made_ends_the_child_and_what_was_answered_has_been_heard(
    tmp_path: Path,
) -> None:
    heard: list[int] = []

    def batches() -> Iterator[tuple[dict[str, object], dict[str, np.ndarray]]]:
        yield {}, {"x": np.array([1])}
        while not heard:
            yield {}, {"x": np.array([1])}
        raise ForecastError("the reason")

    jobs = tmp_path / "jobs"
    jobs.mkdir()
    with pytest.raises(ForecastError, match="the reason"):
        ask_in_batches(
            {},
            {},
            batches(),
            lambda plain, arrays: heard.append(plain["number"]),
            command=script(tmp_path, DOUBLING),
            time_limit_s=60,
            folder=jobs,
        )
    assert heard[0] == 0
    assert list(jobs.iterdir()) == []


def test_an_answer_that_is_said_and_not_there_is_a_forecast_error(tmp_path: Path) -> None:
    body = "print('{\"answered\": 0}', flush=True)"
    with pytest.raises(ForecastError, match="answer-0 of the forecast child is unusable"):
        ask_in_batches({}, {}, [], print, command=script(tmp_path, body), time_limit_s=30)


def test_messages_arrive_as_they_are_said_and_chatter_is_passed_over(tmp_path: Path) -> None:
    heard: list[object] = []
    body = "print('a banner'); print('{\"share\": 0.5}'); print('[1]'); print('{\"share\": 1.0}', flush=True)"
    run_child(tmp_path, command=script(tmp_path, body), time_limit_s=30, on_message=heard.append)
    assert heard == [{"share": 0.5}, {"share": 1.0}]


def test_a_child_that_ignores_sigterm_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    body = (
        "import os, pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path(sys.argv[1], 'pids').write_text(f'{os.getpid()} {other.pid}')\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(ForecastError, match=r"did not finish within 1\.5 s"):
        run_child(tmp_path, command=script(tmp_path, body), time_limit_s=1.5)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text(encoding="utf-8").split()]
    assert len(pids) == 2
    assert all(wait_until_dead(pid) for pid in pids)


def test_what_a_finished_child_left_running_is_ended_and_not_waited_for(tmp_path: Path) -> None:
    """The grandchild holds the pipes open for ten minutes."""
    body = (
        "import pathlib, subprocess, sys\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path(sys.argv[1], 'pid').write_text(str(other.pid))\n"
    )
    run_child(tmp_path, command=script(tmp_path, body), time_limit_s=60)
    assert wait_until_dead(int((tmp_path / "pid").read_text(encoding="utf-8")))


def test_a_child_that_ends_with_an_error_is_quoted_in_one_line_and_logged_in_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ForecastError, match=r"ended with status 1: ValueError: the reason$"):
        run_child(tmp_path, command=script(tmp_path, "raise ValueError('the reason')"), time_limit_s=30)
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGRTMIN + 1])
def test_a_child_that_dies_by_a_signal_is_told_apart(tmp_path: Path, number: int) -> None:
    body = f"import os; os.kill(os.getpid(), {int(number)})"
    with pytest.raises(ForecastError, match=r"was ended by signal (SIGSEGV|SIGKILL|35)"):
        run_child(tmp_path, command=script(tmp_path, body), time_limit_s=30)


def test_a_flood_of_complaints_neither_blocks_nor_fills_the_memory(tmp_path: Path) -> None:
    body = "import sys\nfor i in range(200000): sys.stderr.write('x' * 99 + '\\n')\nsys.exit('the last word')"
    with pytest.raises(ForecastError, match="the last word") as caught:
        run_child(tmp_path, command=script(tmp_path, body), time_limit_s=60)
    assert len(str(caught.value)) < 5000


def test_an_endless_line_on_stdout_neither_blocks_nor_fills_the_memory(tmp_path: Path) -> None:
    body = "import sys\nfor i in range(300): sys.stdout.write('x' * 65536)"
    run_child(tmp_path, command=script(tmp_path, body), time_limit_s=60)


def test_a_child_that_cannot_be_started_is_a_forecast_error(tmp_path: Path) -> None:
    with pytest.raises(ForecastError, match="could not be started"):
        run_child(tmp_path, command=WorkerCommand(("/nowhere/python",)), time_limit_s=5)


def test_a_folder_that_does_not_exist_is_a_forecast_error(tmp_path: Path) -> None:
    with pytest.raises(ForecastError, match="could not be given its job"):
        ask_child({}, {}, command=WorkerCommand(), time_limit_s=5, folder=tmp_path / "gone")


def test_a_child_that_leaves_no_result_is_a_forecast_error(tmp_path: Path) -> None:
    with pytest.raises(ForecastError, match="result of the forecast child is unusable"):
        ask_child({}, {}, command=script(tmp_path, "pass"), time_limit_s=30)


def test_the_job_folder_is_gone_afterwards_whatever_happened(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    with pytest.raises(ForecastError):
        ask_child({}, {}, command=script(tmp_path, "1 / 0"), time_limit_s=30, folder=jobs)
    assert list(jobs.iterdir()) == []


def test_a_pickle_in_place_of_an_array_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "result.npz", x=np.array([{"a": 1}], dtype=object))
    (tmp_path / "result.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ForecastError, match="unusable"):
        read_folder(tmp_path, "result")


def test_a_truncated_result_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, "result", {}, {"x": np.arange(1000.0)})
    path = tmp_path / "result.npz"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ForecastError, match="unusable"):
        read_folder(tmp_path, "result")


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"results": [], "failures": None},
        {"results": [{}], "failures": {}},
        {"results": 3, "failures": {}},
    ],
)
def test_an_answer_without_the_expected_parts_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(ForecastError, match="unusable"):
        unpack_answer(plain, {})


def test_when_the_daemon_is_killed_its_child_dies_with_it(tmp_path: Path) -> None:
    """The real worker, held up by a job that never arrives (a pipe without a writer)."""
    os.mkfifo(tmp_path / "job.json")
    parent = (
        "import sys; from pathlib import Path\n"
        "from warning.forecasting.process import WorkerCommand, run_child\n"
        f"run_child(Path({str(tmp_path)!r}), command=WorkerCommand(), time_limit_s=600)"
    )
    daemon = subprocess.Popen([sys.executable, "-c", parent], cwd=REPOSITORY)
    try:
        writer = os.open(tmp_path / "job.json", os.O_WRONLY)  # returns once the worker has opened it to read
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text(encoding="utf-8").split()
        assert len(children) == 1
    finally:
        daemon.kill()
        daemon.wait()
    assert wait_until_dead(int(children[0]))
    os.close(writer)


def test_the_real_worker_is_ended_at_its_time_limit(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "job.json")
    with pytest.raises(ForecastError, match="did not finish within 1 s"):
        run_child(tmp_path, command=WorkerCommand(), time_limit_s=1)


def test_the_real_worker_says_what_is_wrong_with_its_job(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps({"job": "forecast"}), encoding="utf-8")
    with pytest.raises(ForecastError, match="ended with status 1: the job of the forecast child is unusable"):
        run_child(tmp_path, command=WorkerCommand(), time_limit_s=60)
