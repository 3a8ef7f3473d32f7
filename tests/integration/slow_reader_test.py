#!/usr/bin/python3
"""A client that does not read costs turnd its queue and nothing more: no memory beyond it, and no packet of others."""

import hashlib
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import certificates, processes, servers, testing, turn, turn_stream  # noqa: E402
from lib.steady import Steady  # noqa: E402

QUEUE = 64 * 1024
FLOOD = 20000  # datagrams of a kilobyte, many times what fits anywhere
MARGIN_KIB = 6 * 1024  # of the allocator's and of TLS
SMALL_BUFFER = 4096


def small_socket(address):
    """A connection that takes little in while nobody reads it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    sock.settimeout(10)
    sock.connect(address)
    return sock


class SlowReader(testing.TestCase):
    """One worker, so that the slow client and the others share it."""

    def setUp(self):
        super().setUp()
        self.turnd = self.started(servers.Turnd.with_streams('--relay-threads=1', f'--stream-queue={QUEUE}',
                                                             tls=certificates.Authority(self.directory).issue()))

    def client(self, transport, **options):
        client = turn_stream.client(transport, self.turnd.address, servers.USER, servers.PASSWORD, **options)
        self.addCleanup(client.socket.close)
        return client

    def slow(self, transport):
        """A client with an allocation and a channel to `peer`, that will not read."""
        sock = small_socket(self.turnd.address)
        if transport == 'tls':
            sock = turn_stream.context().wrap_socket(sock)
        client = turn_stream.StreamClient(self.turnd.address, servers.USER, servers.PASSWORD, sock=sock)
        self.addCleanup(client.socket.close)
        client.allocate()
        return client

    def peer(self):
        peer = servers.EchoSocket()
        self.addCleanup(peer.close)
        return peer

    def flood(self, peer, clients, count=FLOOD, size=1000):
        """Sends each client's relayed address so many numbered datagrams, no faster than turnd takes them."""
        witness = self.client('udp')
        for number in range(count):
            data = struct.pack('!I', number) + bytes([number % 256]) * (size - 4)
            for client in clients:
                peer.send(data, client.relayed[0])
            if number % 64 == 63:
                witness.binding()

    def check_growth(self, before, clients, what):
        if self.turnd.sanitized():
            return
        grown = self.turnd.resident_kib() - before
        allowed = MARGIN_KIB + clients * (QUEUE + 64 * 1024) // 1024
        print(f'{what}: {grown} KiB more, {allowed} allowed')
        self.assertLess(grown, allowed, what)

    def check_others(self, others):
        for steady in others:
            processes.until(lambda steady=steady: steady.sent > 50, 'packets of another client')
            steady.stop()
            self.assertEqual(steady.lost, 0, str(steady))
            print(f'another client: {steady}')

    def check_slow_reader(self, transport):
        others = [Steady(self.client(other), self.peer()) for other in ('udp', 'tcp')]
        slow, peer = self.slow(transport), self.peer()
        slow.bind(0x4001, peer.address)
        self.flood(peer, [slow], 500)  # whatever is allocated once only
        before = self.turnd.resident_kib()
        self.flood(peer, [slow])
        self.check_growth(before, 1, f'a {transport} client that does not read, while 20 MB came for it')
        self.check_others(others)
        self.check_reads_on(slow, peer)

    def check_reads_on(self, slow, peer):
        """What was kept is whole and in order; and once all of it is read, new packets come through."""
        numbers = []
        while True:
            try:
                source, data, channel = slow.receive(1)
            except turn.NoAnswer:
                break
            self.assertEqual((source, channel), (peer.address, 0x4001))
            numbers.append(struct.unpack_from('!I', data)[0])
            self.assertEqual(data[4:], bytes([numbers[-1] % 256]) * 996)
        self.assertGreater(len(numbers), 10)
        self.assertLess(len(numbers), FLOOD)
        peer.send(b'after the flood', slow.relayed[0])
        self.assertEqual(slow.receive()[1], b'after the flood')
        self.assertEqual(slow.refresh(), 600)

    @testing.case(timeout=90)
    def test_tcp(self):
        self.check_slow_reader('tcp')

    @testing.case(timeout=90)
    def test_tls(self):
        self.check_slow_reader('tls')

    @testing.case(timeout=90)
    def test_many_at_once(self):
        other = Steady(self.client('udp'), self.peer())
        peer = self.peer()
        slow = [self.slow('tcp') for _ in range(40)]
        for client in slow:
            client.bind(0x4001, peer.address)
        before = self.turnd.resident_kib()
        self.flood(peer, slow, 1000)
        self.check_growth(before, len(slow), '40 TCP clients that do not read')
        self.check_others([other])
        before = self.turnd.descriptors()
        for client in slow:
            client.socket.close()
        processes.until(lambda: self.turnd.descriptors() <= before - 2 * len(slow), 'the end of the slow clients', timeout=20)

    @testing.case(timeout=90)
    def test_requests_whose_answers_nobody_reads(self):
        other = Steady(self.client('udp'), self.peer())
        slow = self.slow('tcp')
        before = self.turnd.resident_kib()
        request = turn.build(turn.Method.BINDING, turn.Class.REQUEST, bytes(12), [])
        slow.socket.settimeout(1)
        sent = 0
        try:
            while sent < 50 << 20:
                slow.socket.sendall(request * 1000)
                sent += len(request) * 1000
        except OSError:
            pass  # turnd has stopped to read, or has ended the connection: both will do
        self.check_growth(before, 1, f'{sent} bytes of requests whose answers nobody reads')
        self.check_others([other])

    def tcp_connection(self, transport='tcp'):
        """A data connection (RFC 6062): the client's side, small, and the peer's."""
        control = self.client(transport)
        control.allocate_tcp()
        control.permit('127.0.0.1')
        with socket.create_server(('127.0.0.1', 0)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            connection = control.connect_peer(listener.getsockname())
            peer, _ = listener.accept()
        self.addCleanup(peer.close)
        data = turn_stream.StreamClient(self.turnd.address, servers.USER, servers.PASSWORD,
                                        sock=small_socket(self.turnd.address))
        self.addCleanup(data.socket.close)
        data.realm, data.nonce = control.realm, control.nonce
        data.request(turn.Method.CONNECTION_BIND, [(turn.Attr.CONNECTION_ID, connection)])
        data.socket.settimeout(20)
        peer.settimeout(20)
        return control, data.socket, peer

    def check_back_pressure(self, writer, reader, what):
        """The writer has to wait for the reader, and not a byte gets lost."""
        other = Steady(self.client('udp'), self.peer())
        before = self.turnd.resident_kib()
        block = os.urandom(65536)
        sums = [hashlib.sha256(), hashlib.sha256()]
        wanted = 24 << 20
        moved = [0, 0]

        def write():
            while moved[0] < wanted:
                sent = writer.send(block[:wanted - moved[0]])
                sums[0].update(block[:sent])
                moved[0] += sent
            writer.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        last = -1
        while moved[0] != last:  # until the writer has stopped
            last = moved[0]
            time.sleep(0.5)
        self.assertLess(moved[0], wanted, 'the writer did not have to wait')
        self.check_growth(before, 1, what)
        while data := reader.recv(65536):
            sums[1].update(data)
            moved[1] += len(data)
        thread.join(20)
        self.assertEqual(moved, [wanted, wanted])
        self.assertEqual(sums[0].digest(), sums[1].digest())
        self.check_others([other])

    @testing.case(timeout=90)
    def test_tcp_relay_to_a_client_that_does_not_read(self):
        _, client, peer = self.tcp_connection()
        self.check_back_pressure(peer, client, 'a data connection that its client does not read')

    @testing.case(timeout=90)
    def test_tcp_relay_to_a_peer_that_does_not_read(self):
        _, client, peer = self.tcp_connection()
        self.check_back_pressure(client, peer, 'a data connection that its peer does not read')


if __name__ == '__main__':
    testing.main()
