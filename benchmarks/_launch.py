"""Run one command and tell its wall time, processor time and peak memory as JSON.

The law: this process stays small. Linux counts a child's peak from the moment it is forked, so that started
by a large parent it would show the parent's memory. Usage: python -I -S _launch.py LOG COMMAND...
"""

import json
import os
import sys
import time

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
began = time.perf_counter()
child = os.posix_spawn(
    sys.argv[2], sys.argv[2:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
)
_, status, usage = os.wait4(child, 0)
took = time.perf_counter() - began
peak_mb = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
told = {"s": took, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": peak_mb}
print(json.dumps({"code": os.waitstatus_to_exitcode(status), **told}))
