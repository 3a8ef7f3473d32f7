"""Clients that exchange data all the time, and know each packet that was lost."""

import socket
import struct
import threading
import time

from . import turn

PAUSE = 0.003


class _Exchange:
    """A thread that calls _once() until it is stopped."""

    def __init__(self):
        self.sent = self.lost = 0
        self.worst = 0.0  # seconds from a packet to its echo
        self.failure = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            data = struct.pack('!I', self.sent) + bytes(160)
            began = time.monotonic()
            self.sent += 1
            try:
                if not self._once(data):
                    self.lost += 1
            except (OSError, turn.NoAnswer, turn.Refused) as failure:
                self.lost += 1
                self.failure = failure
            self.worst = max(self.worst, time.monotonic() - began)
            time.sleep(PAUSE)

    def _once(self, data):
        raise NotImplementedError

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self

    def __str__(self):
        return (f'{self.sent} packets, {self.lost} lost, the slowest took {self.worst * 1000:.1f} ms'
                f'{f", last failure: {self.failure!r}" if self.failure else ""}')


class Steady(_Exchange):
    """A client's channel to a peer that sends everything back."""

    def __init__(self, client, peer):
        self.client, self.peer = client, peer
        client.allocate()
        client.bind(0x4000, peer.address)
        super().__init__()

    def _once(self, data):
        self.client.send_channel(0x4000, data)
        got, source = self.peer.receive(5)
        self.peer.send(got, source)
        return got == data and self.client.receive(5)[1] == data


class SteadyStream(_Exchange):
    """A data connection (RFC 6062) of a client over TCP or TLS to a peer that sends everything back."""

    def __init__(self, client):
        self.client = client
        client.allocate_tcp()
        client.permit('127.0.0.1')
        with socket.create_server(('127.0.0.1', 0)) as listener:
            connection = client.connect_peer(listener.getsockname())
            self.peer, _ = listener.accept()
        self.socket, _ = client.data_connection(connection)
        for sock in (self.peer, self.socket):
            sock.settimeout(5)
        super().__init__()

    def _once(self, data):
        self.socket.sendall(data)
        got = self._exactly(self.peer, len(data))
        self.peer.sendall(got)
        return got == data and self._exactly(self.socket, len(data)) == data

    @staticmethod
    def _exactly(sock, size):
        data = b''
        while len(data) < size:
            more = sock.recv(size - len(data))
            if not more:
                raise ConnectionError('the connection ended')
            data += more
        return data

    def close(self):
        self.socket.close()
        self.peer.close()
