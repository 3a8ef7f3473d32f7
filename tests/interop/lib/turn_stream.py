"""The TURN client of turn.py over TCP, TLS and DTLS, and RFC 6062's data connections."""

import select
import socket
import ssl
import struct
import time

from . import dtls, turn
from .turn import Attr, Method


def context(ca=None, *, alpn=(), minimum=None, maximum=None, certificate=None):
    """What a TLS client needs. With `ca`, the path of an authority's certificate, the server's is verified."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made.load_verify_locations(ca)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if minimum is not None:
        made.minimum_version = minimum
    if maximum is not None:
        made.maximum_version = maximum
    if certificate is not None:
        made.load_cert_chain(certificate.cert, certificate.pkey)
    return made


def connect(server, *, local=None, tls=None, server_name=None, preface=b'', timeout=10.0, session=None):
    """A connected socket; `preface` goes ahead of everything, as a PROXY protocol header does."""
    sock = socket.create_connection(server, timeout=timeout, source_address=local)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if preface:
        sock.sendall(preface)
    if tls is None:
        return sock
    try:
        return tls.wrap_socket(sock, server_hostname=server_name or server[0], session=session)
    except BaseException:
        sock.close()
        raise


class StreamClient(turn.Client):
    """A client over TCP, or over TLS when it is given a context."""

    retransmits = False

    def __init__(self, server, user=None, password=None, *, tls=None, server_name=None, preface=b'', **options):
        self.connection = {'tls': tls, 'server_name': server_name, 'preface': preface}
        self.buffer = b''
        self.ended = False  # whether the server closed the connection
        super().__init__(server, user, password, **options)

    def _open(self, local):
        return connect(self.server, local=local, timeout=self.timeout, **self.connection)

    def send_channel(self, channel, data):
        """Padded to four bytes, as streams want it (RFC 8656, section 12.5)."""
        self._send(struct.pack('!HH', channel, len(data)) + data + bytes(-len(data) % 4))

    def _send(self, datagram):
        self.socket.settimeout(self.timeout)
        try:
            self.socket.sendall(datagram)
        finally:
            self.socket.settimeout(0)

    def _read(self, timeout):
        end = time.monotonic() + timeout
        while (frame := self._frame()) is None:
            if self.ended:
                raise turn.NoAnswer('the server closed the connection')
            if not self._fill(end - time.monotonic()):
                return None
        return frame

    def _frame(self):
        if len(self.buffer) < 4:
            return None
        size = struct.unpack_from('!H', self.buffer, 2)[0]
        size += -size % 4 + 4 if self.buffer[0] >> 6 == 1 else 20
        if len(self.buffer) < size:
            return None
        frame, self.buffer = self.buffer[:size], self.buffer[size:]
        return frame

    # False: nothing came in time.
    def _fill(self, timeout):
        end = time.monotonic() + timeout
        while True:
            try:
                data = self.socket.recv(65536)
                self.ended = not data
                self.buffer += data
                return True
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            except (ConnectionResetError, ssl.SSLEOFError):
                self.ended = True
                return True
            poll = select.poll()
            poll.register(self.socket, select.POLLIN)
            if not poll.poll(max(0, (end - time.monotonic()) * 1000)):
                return False

    def closed(self, timeout=10.0):
        """Whether the server ends the connection within `timeout` seconds."""
        end = time.monotonic() + timeout
        while not self.ended:
            if not self._fill(end - time.monotonic()):
                return False
        return True

    # RFC 6062.

    def allocate_tcp(self, **options):
        return self.allocate(transport=6, **options)

    def connect_peer(self, peer):
        """Connect: the connection id."""
        answer = self.request(Method.CONNECT, lambda id: [(Attr.XOR_PEER_ADDRESS, turn.encode_address(peer, id))])
        return answer.find(Attr.CONNECTION_ID)

    def attempt(self, timeout=10.0):
        """The next ConnectionAttempt: (connection id, peer)."""
        end = time.monotonic() + timeout
        while not self.attempts:
            raw = self._read(end - time.monotonic())
            if raw is None:
                raise turn.NoAnswer(f'no ConnectionAttempt in {timeout:g} s')
            self._sort(raw)
        return self.attempts.pop(0)

    def data_connection(self, connection_id):
        """ConnectionBind on a connection of its own: the socket that carries the peer's bytes from there on, and what
        came of them already."""
        other = StreamClient(self.server, self.user, self.password, algorithm=self.algorithm, timeout=self.timeout,
                             **self.connection)
        other.realm, other.nonce, other.password_algorithms = self.realm, self.nonce, self.password_algorithms
        try:
            other.request(Method.CONNECTION_BIND, [(Attr.CONNECTION_ID, connection_id)])
        except BaseException:
            other.socket.close()
            raise
        other.socket.settimeout(self.timeout)
        return other.socket, other.buffer


class DtlsClient(turn.Client):
    """A client over DTLS 1.2."""

    def _open(self, local):
        return dtls.Socket(self.server, local=local, timeout=self.timeout)

    def _send(self, datagram):
        self.socket.send(datagram)

    def _read(self, timeout):
        return self.socket.receive(timeout)


TRANSPORTS = {'udp': turn.Client, 'tcp': StreamClient, 'tls': StreamClient, 'dtls': DtlsClient}


def client(transport, server, user=None, password=None, **options):
    """A client over any transport; no certificate is verified."""
    if transport == 'tls':
        options.setdefault('tls', context())
    return TRANSPORTS[transport](server, user, password, **options)
