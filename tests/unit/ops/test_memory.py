"""What the daemon hands back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import threading
from warning.ops.memory import hand_memory_back, keep_memory_together

def resident_kib():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))

def work():
    kept = [bytes(50_000) for _ in range(800)]
    del kept[::2]
    last.append(kept[-1])

last = []
print(keep_memory_together())
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
before = resident_kib()
print(hand_memory_back())
print(resident_kib() <= before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="malloc_trim and mallopt are the GNU C library's"
)
def test_memory_is_kept_together_and_handed_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


def test_to_send_a_mail_apprise_loads_the_plugin_of_mail_alone() -> None:
    code = (
        "import sys\n"
        "from warning.alerts.apprise_sender import problem_with\n"
        "mail = 'mailto://a:b@localhost:25?from=a@example.org&to=c@example.org'\n"
        "count = lambda: sum(name.startswith('apprise.plugins.') for name in sys.modules)\n"
        "print(problem_with(mail), count() < 20)\n"
        "print(problem_with('ntfy://localhost/dam'), problem_with(mail), count() > 100)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["None True", "None None True"]
