"""A listener with a thread for each connection: how every stand-in for a server begins and ends; and one
that takes nobody in."""

import contextlib
import socket
import threading


def shut(sock):
    """Ends both directions; whoever waits for it in another thread is woken."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class Accepting:
    """`arrived(sock, peer)` runs in the order of the connections; what it returns goes to `serve`, in
    a thread of its own. Port 0 takes any."""

    def __init__(self, port, serve, arrived=lambda sock, peer: sock):
        self.serve = serve
        self.arrived = arrived
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = self.arrived(sock, peer)
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def close(self):
        """Refuses from now on. The accepting thread keeps the port open until it is woken."""
        shut(self.listener)
        self.listener.close()


@contextlib.contextmanager
def full_queue(port):
    """A listener that takes nobody in any more: what else wants to connect is dropped by the kernel,
    as by a firewall."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind(("127.0.0.1", port))
        full.listen(0)
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        yield
