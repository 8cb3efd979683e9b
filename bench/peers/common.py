"""What the Python drivers share: the spec, the clocks and the memory.

A driver reads one JSON object on standard input and writes one on standard
output; the Go side, in drive.go, says what the fields mean.
"""

import ctypes
import gc
import json
import resource
import sys
import time

SETTLE = 0.3


def read_spec():
    # Many connections need many descriptors; Python keeps the soft limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return json.load(sys.stdin)


def split(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def cpu_seconds():
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def status_bytes(key):
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0]) * 1024
    raise KeyError(key)


def idle_bytes():
    """The resident memory once what is not used has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return status_bytes("VmRSS")


class Tally:
    """Counts what the caller of each command saw."""

    def __init__(self, spec):
        self.spec = spec
        self.answered = 0
        self.lost = 0
        self.first_error = ""
        self.before = 0

    def ended(self, status, size):
        if status != 0:
            self.failed(f"exit status {status}")
        elif size != self.spec["bytes"]:
            self.failed(f"{size} bytes of output, want {self.spec['bytes']}")
        else:
            self.answered += 1

    def failed(self, why):
        self.lost += 1
        self.first_error = self.first_error or str(why) or repr(why)

    def start(self):
        if self.spec["hold"]:
            self.before = idle_bytes()
        self.cpu = cpu_seconds()
        self.begun = time.monotonic()

    def stop(self):
        self.wall = time.monotonic() - self.begun
        self.cpu = cpu_seconds() - self.cpu
        self.peak = status_bytes("VmHWM")

    def report(self):
        idle = idle_bytes() - self.before if self.spec["hold"] else 0
        json.dump(
            {
                "wall_seconds": self.wall,
                "cpu_seconds": self.cpu,
                "answered": self.answered,
                "lost": self.lost,
                "first_error": self.first_error,
                "peak_bytes": self.peak,
                "idle_bytes": idle,
            },
            sys.stdout,
        )
