"""A listener with a thread for each connection: how every stand-in for a server begins and ends."""

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
