"""A daemon of a few lines, for what no real one does: answers cut short, garbage, silence."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator


def answering(head: bytes, body: bytes = b"") -> Callable[[socket.socket], None]:
    """Reads a request, sends these bytes and hangs up."""

    def talk(peer: socket.socket) -> None:
        _request(peer)
        peer.sendall(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)

    return talk


def documents(info: bytes, version: bytes = b"{}") -> Callable[[socket.socket], None]:
    """Answers what is asked, as often as it is asked."""

    def talk(peer: socket.socket) -> None:
        while request := _request(peer):
            body = info if request.startswith(b"GET /info ") else version
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    return talk


def silent(peer: socket.socket) -> None:
    """Takes the request and says nothing, until the other side has enough."""
    while peer.recv(1 << 16):
        pass


def dripping(peer: socket.socket) -> None:
    """A byte of an endless answer now and then."""
    _request(peer)
    peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        peer.sendall(b" ")
        time.sleep(0.05)


def _request(peer: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        more = peer.recv(1 << 16)
        if not more:
            break
        request += more
    return request


@contextmanager
def listening(path: str, talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a socket at *path* where *talk* goes on with everybody who comes."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        with _serving(server, talk):
            yield f"unix://{path}"
    os.remove(path)


@contextmanager
def listening_tls(context: ssl.SSLContext, talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """The same on this machine's own network, by TLS."""

    def wrapped(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as secure:
            talk(secure)

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        with _serving(server, wrapped):
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def _serving(server: socket.socket, talk: Callable[[socket.socket], None]) -> Iterator[None]:
    server.listen()

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(peer,), daemon=True).start()

    def converse(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            talk(peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
