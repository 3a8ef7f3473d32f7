#!/usr/bin/python3
"""How long, how many, how fast."""

import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import options, processes, servers, testing, turn  # noqa: E402


class Limits(options.OptionCase):
    """The section Limits of turnd.conf(5)."""

    @testing.case()
    def test_max_allocate_lifetime(self):
        def question(server):
            client = self.client(server)
            client.allocate(lifetime=3000)
            return (client.lifetime, client.refresh(5000))

        self.same(question, 'max-allocate-lifetime=900', expected=(900, 900))
        self.same(question, expected=(3000, 3600))

    @testing.case()
    def test_permission_lifetime(self):
        def question(server):
            """Whether a peer still reaches the client at once, and after two lifetimes."""
            client, peer = self.client(server), self.peer()
            client.allocate()
            client.permit(peer.address[0])
            peer.send(b'early', client.relayed[0])
            early = client.receive(2)[1]
            time.sleep(2.5)
            peer.send(b'late', client.relayed[0])
            return (early, client.silent(0.3))

        self.same(question, 'permission-lifetime=1', expected=(b'early', True))
        self.same(question, expected=(b'early', False))

    @testing.case()
    def test_channel_lifetime(self):
        def question(server):
            """What comes by the channel, and what becomes of it after two lifetimes (the permission lasts)."""
            client, peer = self.client(server), self.peer()
            client.allocate()
            client.bind(0x4000, peer.address)
            client.send_channel(0x4000, b'early')
            early = peer.receive(2)[0]
            time.sleep(2.5)
            client.send_channel(0x4000, b'late')
            try:
                return (early, peer.receive(0.3)[0])
            except TimeoutError:
                return (early, None)

        self.same(question, 'channel-lifetime=1', expected=(b'early', None))
        self.same(question, expected=(b'early', b'late'))

    @testing.case()
    def test_max_permissions(self):
        client = self.client(self.turnd('max-permissions=3'))
        client.allocate()
        ips = [f'198.51.100.{number}' for number in range(1, 5)]
        self.assertEqual([self.code(client.permit, ip) for ip in ips], [0, 0, 0, 508])
        self.assertEqual(self.code(client.permit, ips[0]), 0, 'a permission that is there may be refreshed')

    @testing.case()
    def test_max_channels(self):
        client = self.client(self.turnd('max-channels=2'))
        client.allocate()
        codes = [self.code(client.bind, 0x4000 + number, ('198.51.100.1', 1000 + number)) for number in range(3)]
        self.assertEqual(codes, [0, 0, 508])

    @testing.case()
    def test_max_tcp_connections(self):
        client = self.client(self.turnd('max-tcp-connections=2'), 'tcp')
        client.allocate_tcp()
        client.permit('127.0.0.1')
        codes = []
        for _ in range(3):
            with socket.create_server(('127.0.0.1', 0)) as listener:
                codes.append(self.code(client.connect_peer, listener.getsockname()))
        self.assertEqual(codes, [0, 0, 508])

    @testing.case()
    def test_max_allocate_timeout(self):
        def question(server):
            client = self.client(server, 'tcp')
            client.binding()
            return client.closed(8)

        self.same(question, 'max-allocate-timeout=1', expected=True)

    @testing.case()
    def test_max_allocate_timeout_ends_handshakes_too(self):
        server = self.turnd('max-allocate-timeout=1', tls=self.authority.issue(), ready='tls')
        with socket.create_connection(server.tls_address) as sock:
            sock.send(b'\x16\x03\x01')  # and then nothing
            sock.settimeout(8)
            self.assertEqual(self.read_to_end(sock), b'')

    @staticmethod
    def read_to_end(sock):
        data = b''
        try:
            while more := sock.recv(4096):
                data += more
        except ConnectionResetError:
            pass
        return data

    def open_connections(self, server, count, address=None):
        """How many of `count` connections, one after the other, still answer at the end."""
        clients = []
        for _ in range(count):
            try:
                clients.append(self.client(address or server, 'tcp', timeout=2))
                clients[-1].allocate()
            except (OSError, turn.NoAnswer):
                pass
        return sum(self.code(client.binding) == 0 for client in clients if not client.ended)

    @testing.case()
    def test_max_connections(self):
        self.assertEqual(self.open_connections(self.turnd('max-connections=3', 'relay-threads=1'), 5), 3)

    @testing.case()
    def test_max_connections_per_ip(self):
        server = self.turnd('max-connections-per-ip=2')
        self.assertEqual(self.open_connections(server, 4), 2)
        other = self.client(server, 'tcp', local=('127.0.0.8', 0))
        self.assertEqual(self.code(other.allocate), 0, 'another address has connections of its own')

    @testing.case()
    def test_max_half_open(self):
        """The oldest that has not authenticated makes room."""
        server = self.turnd('max-half-open=2', 'relay-threads=1', ready='udp')
        proven = self.client(server, 'tcp')
        proven.allocate()
        idle = [socket.create_connection(server.address) for _ in range(5)]
        for sock in idle:
            self.addCleanup(sock.close)
        newest = self.client(server, 'tcp')
        self.assertEqual(self.code(newest.allocate), 0)
        for sock in idle[:3]:
            sock.settimeout(5)
            self.assertEqual(self.read_to_end(sock), b'')
        self.assertEqual(proven.refresh(), 600)

    @testing.case()
    def test_max_dtls_handshakes(self):
        """Handshakes that stop after the cookie take the places, and the oldest makes room: the server no longer
        repeats its flight to that one."""
        server = self.turnd('max-dtls-handshakes=2', 'relay-threads=1', tls=self.authority.issue())
        stalled = [StalledDtls(server.tls_address) for _ in range(3)]
        for client in stalled:
            self.addCleanup(client.socket.close)
            self.assertEqual(client.flight(1)[0][0], 22, 'the server goes on after the cookie')
        time.sleep(2)
        self.assertEqual([client.repeated() for client in stalled], [False, True, True])
        self.assertTrue(self.answers(server, 'dtls', server.tls_address))

    @testing.case()
    def test_stream_queue(self):
        """What waits for a client that does not read: a small queue drops soon, a large one later."""
        self.assertLess(self.kept(self.turnd('stream-queue=16384')), self.kept(self.turnd('stream-queue=4194304')))

    def kept(self, server):
        """The bytes that a client gets that read nothing while its peer sent 4 MB."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(server.address)
        client, peer, witness = self.client(server, 'tcp', sock=sock), self.peer(), self.client(server)
        client.allocate()
        client.bind(0x4000, peer.address)
        for number in range(4000):
            peer.send(bytes(1000), client.relayed[0])
            if number % 50 == 0:
                witness.binding()  # so that nothing is lost on the way to the server
        got = 0
        try:
            while True:
                got += len(client.receive(0.5)[1])
        except turn.NoAnswer:
            return got

    @testing.case()
    def test_user_quota(self):
        def question(server):
            codes = [self.code(self.client(server).allocate) for _ in range(3)]
            return (codes, self.code(self.client(server, user='bob', password='builder').allocate))

        self.same(question, 'user-quota=2', 'user=bob:builder', expected=([0, 0, 486], 0))

    @testing.case()
    def test_user_quota_is_given_back(self):
        """With the answer to the deletion; coturn takes a moment longer."""
        server = self.turnd('user-quota=1')
        for _ in range(4):
            client = self.client(server)
            self.assertEqual(self.code(client.allocate), 0)
            client.delete()

    @testing.case()
    def test_total_quota(self):
        def question(server):
            return [self.code(self.client(server, user=user, password=password).allocate) for user, password in
                    ((servers.USER, servers.PASSWORD), ('bob', 'builder'), (servers.USER, servers.PASSWORD))]

        self.same(question, 'total-quota=2', 'user=bob:builder', expected=[0, 0, 486])

    def through(self, server, seconds):
        """The bytes a second that a client sends as fast as it may without harm, and those that reach its peer."""
        client, peer = self.client(server), self.peer()
        client.allocate()
        client.bind(0x4000, peer.address)
        client.send_channel(0x4000, bytes(1200))
        peer.receive(2)
        sent = got = 0
        began = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            for _ in range(4):
                client.send_channel(0x4000, bytes(1200))
                sent += 1200
            time.sleep(0.005)
            got += self.drain(peer)
        return sent / (now - began), got / (now - began)

    @staticmethod
    def drain(peer):
        got = 0
        peer.socket.setblocking(False)
        try:
            while True:
                got += len(peer.socket.recv(2000))
        except BlockingIOError:
            return got

    @testing.case()
    def test_max_bps(self):
        """Both let about that much through, coturn in one piece each second."""
        def limited(server):
            sent, got = self.through(server, 3)
            return sent > 150000 and 60000 < got < min(300000, sent * 0.9)

        def free(server):
            sent, got = self.through(server, 1)
            return got > sent * 0.95

        self.same(limited, 'max-bps=150000', expected=True)
        self.same(free, expected=True)

    @testing.case()
    def test_bandwidth_burst(self):
        """How much of 300 kilobytes at once gets through."""
        def at_once(server):
            client, peer = self.client(server), self.peer()
            client.allocate()
            client.bind(0x4000, peer.address)
            got = 0
            began = time.monotonic()
            for number in range(300):
                client.send_channel(0x4000, bytes(1000))
                if number % 20 == 19:
                    client.binding()  # so that nothing is lost on the way
                    got += self.drain(peer)
            return got, time.monotonic() - began

        got, seconds = at_once(self.turnd('max-bps=500000', 'bandwidth-burst=10'))
        self.assertLess(got, 65536 + 500000 * seconds + 10000, 'one datagram of any size always may')
        got, _ = at_once(self.turnd('max-bps=500000', 'bandwidth-burst=1000'))
        self.assertEqual(got, 300000)

    @testing.case()
    def test_bps_capacity(self):
        """Each reserves its max-bps, until nothing is left."""
        def question(server):
            return [self.code(self.client(server).allocate) for _ in range(4)]

        self.same(question, 'max-bps=10000', 'bps-capacity=20000', expected=[0, 0, 486, 486])


class StalledDtls:
    """A DTLS client that answers the cookie, and then nothing any more."""

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(server)
        self.socket.settimeout(1)
        self.cookie = self._hello(b'', 0)

    def flight(self, sequence):
        """What the server sends on the cookie: one datagram or more."""
        got = [self._send(self.cookie, sequence)]
        self.socket.settimeout(0.2)
        try:
            while True:
                got.append(self.socket.recv(4096))
        except TimeoutError:
            return got

    def repeated(self):
        """Whether more came since."""
        self.socket.setblocking(False)
        try:
            return bool(self.socket.recv(4096))
        except BlockingIOError:
            return False

    def _hello(self, cookie, sequence):
        answer = self._send(cookie, sequence)
        assert answer[13] == 3, 'HelloVerifyRequest'
        return answer[28:28 + answer[27]]

    def _send(self, cookie, sequence):
        suites = bytes.fromhex('c02bc02c')
        extensions = bytes.fromhex('000a0006000400170018' '000b00020100' '000d000600040403' '0503')
        body = (b'\xfe\xfd' + b'r' * 32 + b'\0' + bytes([len(cookie)]) + cookie + len(suites).to_bytes(2, 'big') + suites +
                b'\x01\x00' + len(extensions).to_bytes(2, 'big') + extensions)
        handshake = (b'\x01' + len(body).to_bytes(3, 'big') + sequence.to_bytes(2, 'big') + bytes(3) +
                     len(body).to_bytes(3, 'big') + body)
        record = b'\x16\xfe\xff' + bytes(2) + sequence.to_bytes(6, 'big') + len(handshake).to_bytes(2, 'big') + handshake
        self.socket.send(record)
        return self.socket.recv(4096)


if __name__ == '__main__':
    testing.main()
