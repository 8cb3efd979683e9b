"""asyncssh with a pool of connections.

Ways: "dictionary" looks into a dictionary and connects if nothing is there, as
one writes it first: callers that come at the same time all find nothing.
"locked" holds a lock for each host while it connects.
"""

import asyncio
import sys
import warnings

warnings.simplefilter("ignore")  # of Debian's cryptography about old ciphers

import asyncssh  # noqa: E402

import common  # noqa: E402

if sys.argv[1:] == ["version"]:
    print(asyncssh.__version__)
    sys.exit()


class Pool:
    def __init__(self, spec):
        self.spec = spec
        self.key = asyncssh.read_private_key(spec["identity"])
        self.known_hosts = asyncssh.read_known_hosts(spec["known_hosts"])
        self.connections = {}
        self.all = []
        self.locks = {}
        self.dials = asyncio.Semaphore(spec["dials"] or 1_000_000)

    async def connect(self, address):
        host, port = common.split(address)
        async with self.dials:
            connection = await asyncssh.connect(
                host,
                port,
                username=self.spec["user"],
                client_keys=[self.key],
                known_hosts=self.known_hosts,
                agent_path=None,
                config=None,
            )
        self.all.append(connection)
        return connection

    async def get(self, address):
        if self.spec["way"] == "dictionary":
            connection = self.connections.get(address)
            if connection is None:
                connection = await self.connect(address)
                self.connections[address] = connection
            return connection
        connection = self.connections.get(address)
        if connection is None:
            async with self.locks.setdefault(address, asyncio.Lock()):
                connection = self.connections.get(address)
                if connection is None:
                    connection = await self.connect(address)
                    self.connections[address] = connection
        return connection

    async def run(self, address):
        connection = await self.get(address)
        if self.spec["bytes"] == 0:
            result = await connection.run(self.spec["command"])
            return result.exit_status, 0
        size = 0
        async with connection.create_process(self.spec["command"], encoding=None) as process:
            while chunk := await process.stdout.read(1 << 16):
                size += len(chunk)
            await process.wait()
        return process.exit_status, size


async def main():
    spec = common.read_spec()
    pool = Pool(spec)
    tally = common.Tally(spec)
    if spec["warm"]:
        await pool.run(spec["hosts"][0])
        await asyncio.sleep(common.SETTLE)
    jobs = iter(range(spec["count"]))

    async def worker():
        for i in jobs:
            address = spec["hosts"][0 if len(spec["hosts"]) == 1 else 1 + i]
            try:
                tally.ended(*await pool.run(address))
            except (OSError, asyncssh.Error) as error:
                tally.failed(error)

    tally.start()
    await asyncio.gather(*(worker() for _ in range(min(spec["parallel"], spec["count"]))))
    tally.stop()
    if spec["hold"]:
        await asyncio.sleep(common.SETTLE)
    tally.report()
    for connection in pool.all:
        connection.close()
    await asyncio.gather(*(c.wait_closed() for c in pool.all), return_exceptions=True)


asyncio.run(main())
