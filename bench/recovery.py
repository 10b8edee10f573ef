"""Faults, and how long until a request is answered again. Everything here runs in one asyncio loop
of the main thread, so that the waits of several tunnels can pass at the same time."""

import asyncio
import contextlib
import struct
import time

from metric import Cell, Metric
from process import Failed, free_ports

PROBE_EVERY = 0.02    # a new request is begun this often ...
PROBE_PATIENCE = 1.0  # ... and given up after this
START_LIMIT = 20
FAULT_LIMIT = 120
SETTLE_SECONDS = 1.5  # between the first good request and the fault

ORDER_MAGIC, ORDER_ECHO = 0x6d6c6762, 3  # bench/order.h
REQUEST_SIZE = 200
REQUEST = struct.pack("=IIQQII", ORDER_MAGIC, ORDER_ECHO, 0, 0, REQUEST_SIZE, 0) + bytes(REQUEST_SIZE)


async def request(port):
    """The time at which one request on a new connection was answered; None when it was not."""
    writer = None
    try:
        async with asyncio.timeout(PROBE_PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            await reader.readexactly(REQUEST_SIZE)
            return time.monotonic()
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        return None
    finally:
        if writer:
            writer.transport.abort()


async def first_good(port, since, limit, children=()):
    """Seconds from `since` to the first answered request; Failed at once when a child ends."""
    probes = set()
    try:
        while time.monotonic() < since + limit:
            for child in children:
                child.check()
            probes.add(asyncio.create_task(request(port)))
            done, _ = await asyncio.wait(probes, timeout=PROBE_EVERY,
                                         return_when=asyncio.FIRST_COMPLETED)
            probes -= done
            good = [t for t in (p.result() for p in done) if t]
            if good:
                return min(good) - since
            if done:  # refused at once: the next one still waits its turn
                await asyncio.sleep(PROBE_EVERY)
        raise Failed(f"no request answered within {limit} s")
    finally:
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)


class Forwarder:
    """Stands between the two ends of a tunnel. After cut() the connections that exist keep their
    sockets and move no bytes; new ones are served."""

    def __init__(self, port, to):
        self.port = port
        self.to = to
        self.pairs = []
        self.generation = 0

    async def start(self):
        self.listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self):
        self.listener.close()
        for writer in self.pairs:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # the sockets close in the loop's next turns

    def cut(self):
        self.generation += 1
        for writer in self.pairs:
            with contextlib.suppress(RuntimeError):
                writer.transport.pause_reading()

    async def _serve(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        self.pairs += [writer, far_writer]
        born = self.generation
        await asyncio.gather(self._pump(reader, far_writer, born),
                             self._pump(far_reader, writer, born))

    async def _pump(self, reader, writer, born):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if born != self.generation:
                    return
                writer.write(data)
                await writer.drain()
        if born == self.generation:
            writer.transport.abort()


# ---- faults --------------------------------------------------------------------------------------


async def silent_cut(stack, forwarder):
    forwarder.cut()


async def server_killed(stack, forwarder):
    stack.server.kill()
    stack.server.start()


async def client_killed(stack, forwarder):
    stack.client.kill()
    stack.client.start()


async def client_killed_disk_lost(stack, forwarder):
    stack.client.kill()
    stack.forget_run_id()
    stack.client.start()


async def client_lost(stack, forwarder):
    """Its host is gone: the server hears nothing, not even the end of the connection."""
    forwarder.cut()
    await client_killed(stack, forwarder)


async def client_lost_disk_lost(stack, forwarder):
    forwarder.cut()
    await client_killed_disk_lost(stack, forwarder)


async def wait_until_up(stack):
    try:
        return await first_good(stack.main, time.monotonic(), START_LIMIT, stack.children)
    except Failed as e:
        raise Failed(f"did not start: {e}; {stack.log_tail()}") from e


async def recover(stack, folder, local, fault):
    """Starts the stack with a forwarder inside, lets the fault happen, returns the seconds."""
    stack.plan_ports()
    forwarder = Forwarder(free_ports(1)[0], stack.link)
    await forwarder.start()
    try:
        stack.start(folder, local, via=forwarder.port)
        await wait_until_up(stack)
        await asyncio.sleep(SETTLE_SECONDS)
        begun = time.monotonic()
        await fault(stack, forwarder)
        try:
            return await first_good(stack.main, begun, FAULT_LIMIT)
        except Failed as e:
            raise Failed(f"{e}; {stack.log_tail()}") from e
    finally:
        await forwarder.stop()
        stack.stop()


async def recover_all(stacks, folder_of, local, fault):
    """All of them at the same time; a list of seconds or exceptions, in their order."""
    return await asyncio.gather(*(recover(s, folder_of(s), local, fault) for s in stacks),
                                return_exceptions=True)


def cell(key, name, fault, aim=None, slow=False):
    """`slow`: the peers wait for their timers, so all stacks are cut at the same time."""
    return Cell(name, fault, (Metric(key, name, "s", aim=aim),), {"slow": slow}, direct=False)


CELLS = (
    cell("silent_cut", "silent cut", silent_cut, aim=5, slow=True),
    cell("server_killed", "server killed, started at once", server_killed, aim=0.3),
    cell("client_killed", "client killed, started at once", client_killed),
    cell("client_killed_new", "client killed, started at once, its disk lost",
         client_killed_disk_lost),
    cell("client_lost", "client lost unheard, started at once", client_lost, aim=1.5, slow=True),
    cell("client_lost_new", "client lost unheard, started at once, its disk lost",
         client_lost_disk_lost, aim=1.5, slow=True),
)
