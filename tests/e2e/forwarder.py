"""A TCP forwarder under the test's control: the network between the two ends.

Its sockets stay open whatever happens on the other side, so it can play a line that goes silent
(nothing moves, nobody is told), a network that freezes and thaws, and one that is reset.
"""

import asyncio
import socket
import struct
import threading

STEP = 65536


class Pair:
    """One forwarded connection. While the gate is shut, bytes (and ends) are kept, not lost."""

    def __init__(self, near, far, is_open):
        self.near = near
        self.far = far
        self.gate = asyncio.Event()
        if is_open:
            self.gate.set()


class Forwarder:
    """Listens on `port` and forwards to `target`.

    chop: at most so many bytes per write, each in a segment of its own.
    Public methods may be called from any thread and return when the state is in force."""

    def __init__(self, port, target, chop=None):
        self.port = port
        self.target = target
        self.chop = chop
        self.pairs = []
        self.accepted = 0
        self.admit = True  # are new connections' gates open?
        self.listener = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._call(self._listen())

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    async def _listen(self):
        sock = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        sock.setblocking(False)
        self.listener = sock
        self.accepting = self.loop.create_task(self._accept(sock))

    async def _accept(self, sock):
        while True:
            near, _ = await self.loop.sock_accept(sock)
            self.accepted += 1
            self.loop.create_task(self._forward(near))

    async def _forward(self, near):
        far = socket.socket()
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = Pair(near, far, self.admit)
        self.pairs.append(pair)
        try:
            await pair.gate.wait()
            await self.loop.sock_connect(far, ("127.0.0.1", self.target))
            await asyncio.gather(
                self._pump(pair, near, far), self._pump(pair, far, near), return_exceptions=True
            )
        except OSError:
            pass
        finally:
            near.close()
            far.close()
            if pair in self.pairs:
                self.pairs.remove(pair)

    async def _pump(self, pair, source, sink):
        try:
            while True:
                data = await self.loop.sock_recv(source, STEP)
                await pair.gate.wait()
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                await self._write(sink, data)
        except OSError:
            await pair.gate.wait()
            self._reset(pair)

    async def _write(self, sink, data):
        if self.chop is None:
            await self.loop.sock_sendall(sink, data)
            return
        for at in range(0, len(data), self.chop):
            await self.loop.sock_sendall(sink, data[at : at + self.chop])

    @staticmethod
    def _reset(pair):
        for sock in (pair.near, pair.far):
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                try:
                    sock.shutdown(socket.SHUT_RD)  # wakes the other direction
                except OSError:
                    pass

    async def _close_listener(self):
        if self.listener is not None:
            self.accepting.cancel()
            self.listener.close()
            self.listener = None

    def cut(self, new="work"):
        """Existing connections go silent for good. New ones: "work", "stall" (connected by the
        kernel, but nothing moves) or "refuse"."""

        async def act():
            for pair in self.pairs:
                pair.gate.clear()
            self.admit = new == "work"
            if new == "refuse":
                await self._close_listener()

        self._call(act())

    def mend(self, old=True):
        """Everything moves again, in order, nothing lost; with old=False only what is new."""

        async def act():
            self.admit = True
            for pair in self.pairs:
                if old:
                    pair.gate.set()
            if self.listener is None:
                await self._listen()

        self._call(act())

    def reset(self):
        """A reset to both ends of every connection."""

        async def act():
            for pair in list(self.pairs):
                pair.gate.set()
                self._reset(pair)

        self._call(act())

    def close(self):
        async def act():
            await self._close_listener()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._call(act())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
