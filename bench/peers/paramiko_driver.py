"""paramiko with one transport for each host, and threads.

TCP_NODELAY is set by hand: without it each command waits 40 ms more.
"""

import socket
import sys
import threading
import time
import warnings

warnings.simplefilter("ignore")  # of Debian's cryptography about old ciphers

import paramiko  # noqa: E402

import common  # noqa: E402

if sys.argv[1:] == ["version"]:
    print(paramiko.__version__)
    sys.exit()


class Pool:
    def __init__(self, spec):
        self.spec = spec
        self.key = paramiko.Ed25519Key.from_private_key_file(spec["identity"])
        self.known_hosts = paramiko.HostKeys(spec["known_hosts"])
        self.transports = {}
        self.locks = {address: threading.Lock() for address in spec["hosts"]}
        self.dials = threading.Semaphore(spec["dials"] or 1_000_000)

    def get(self, address):
        with self.locks[address]:
            if address not in self.transports:
                with self.dials:
                    self.transports[address] = self.connect(address)
            return self.transports[address]

    def connect(self, address):
        host, port = common.split(address)
        name = f"[{host}]:{port}"
        known = self.known_hosts.lookup(name)
        if known is None:
            raise paramiko.SSHException(f"{name} is not in known_hosts")
        raw = socket.create_connection((host, port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(raw)
        transport.connect(hostkey=known["ssh-ed25519"], username=self.spec["user"], pkey=self.key)
        return transport

    def run(self, address):
        channel = self.get(address).open_session()
        try:
            channel.exec_command(self.spec["command"])
            size = 0
            while chunk := channel.recv(1 << 16):
                size += len(chunk)
            return channel.recv_exit_status(), size
        finally:
            channel.close()

    def close(self):
        for transport in self.transports.values():
            transport.close()


def main():
    spec = common.read_spec()
    pool = Pool(spec)
    tally = common.Tally(spec)
    if spec["warm"]:
        pool.run(spec["hosts"][0])
        time.sleep(common.SETTLE)
    jobs = iter(range(spec["count"]))
    lock = threading.Lock()
    now = threading.Event()

    def worker():
        now.wait()
        while True:
            with lock:
                i = next(jobs, None)
            if i is None:
                return
            address = spec["hosts"][0 if len(spec["hosts"]) == 1 else 1 + i]
            try:
                status, size = pool.run(address)
            except (OSError, EOFError, paramiko.SSHException) as error:
                with lock:
                    tally.failed(error)
            else:
                with lock:
                    tally.ended(status, size)

    workers = [threading.Thread(target=worker) for _ in range(min(spec["parallel"], spec["count"]))]
    for thread in workers:
        thread.start()
    tally.start()
    now.set()
    for thread in workers:
        thread.join()
    tally.stop()
    del workers
    if spec["hold"]:
        time.sleep(common.SETTLE)
    tally.report()
    pool.close()


main()
