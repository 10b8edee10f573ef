"""A name server for tests, over UDP: one address for the names it knows, nothing at all for the silent
ones, NXDOMAIN for others."""

import socket
import struct
import threading

TYPE_A, TYPE_AAAA = 1, 28
NOT_FOUND = 3


def name_of(query):
    """The name in the question, and where the question ends."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii"))
        at += 1 + query[at]
    return ".".join(labels).lower(), at + 5


def answer_to(query, names):
    name, end = name_of(query)
    kind = struct.unpack_from("!H", query, end - 4)[0]
    address = names.get(name)
    found = address is not None and kind == TYPE_A
    flags = 0x8180 | (0 if address else NOT_FOUND)
    head = query[:2] + struct.pack("!HHHHH", flags, 1, int(found), 0, 0)
    record = b""
    if found:
        record = struct.pack("!HHHIH", 0xC00C, TYPE_A, 1, 0, 4) + socket.inet_aton(address)
    return head + query[12:end] + record


class NameServer:
    """`names` may change while it runs; `asked` has each (name, client's port)."""

    def __init__(self, names, port=53, silent=()):
        self.names = names
        self.silent = silent
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            query, client = self.socket.recvfrom(512)
            name = name_of(query)[0]
            self.asked.append((name, client[1]))
            if name in self.silent:
                continue
            self.socket.sendto(answer_to(query, self.names), client)
