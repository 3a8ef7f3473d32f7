#!/usr/bin/python3
"""Relayed addresses: where they are, what clients are told of them, and which are refused."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import options, processes, servers, testing, turn, turn_stream  # noqa: E402
from lib.turn import Attr, Method  # noqa: E402


class Relay(options.OptionCase):
    """The section Relaying of turnd.conf(5)."""

    def relayed(self, server, **how):
        return self.client(server).allocate(**how)

    @testing.case()
    def test_relay_ip(self):
        self.same(lambda server: self.relayed(server)[0], 'relay-ip=127.0.0.5', expected='127.0.0.5')
        self.same(lambda server: [self.relayed(server)[0], self.relayed(server, family=turn.IPV6)[0]], 'relay-ip=127.0.0.5',
                  'relay-ip=::1', expected=['127.0.0.5', '::1'])

    @testing.case()
    def test_relay_device(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to bind to a device')

        def question(server):
            port = self.relayed(server)[1]
            run = processes.run(['ss', '-Hulnp', f'sport = :{port}'], timeout=10)
            return f'127.0.0.1%lo:{port}' in run.output('out')

        self.same(question, 'relay-device=lo', expected=True)

    @testing.case()
    def test_external_ip(self):
        self.same(lambda server: self.relayed(server)[0], 'external-ip=203.0.113.9/127.0.0.1', expected='203.0.113.9')

    @testing.case()
    def test_external_ip_makes_clients_meet(self):
        """A peer that is named by the public address is this host."""
        def question(server):
            one, two = self.client(server), self.client(server)
            one.allocate()
            two.allocate()
            one.permit(two.relayed[0])
            two.permit(one.relayed[0])
            one.send(two.relayed[0], b'through the hairpin')
            return two.receive(3)[1:2] == (b'through the hairpin',)

        self.same(question, 'external-ip=203.0.113.9/127.0.0.1', expected=True)

    @testing.case()
    def test_min_port_and_max_port(self):
        first = servers.free_ports(3)

        def question(server):
            clients = [self.client(server) for _ in range(4)]
            codes = [self.code(client.allocate) for client in clients]
            return (codes, {client.relayed[0][1] - first for client in clients if client.relayed})

        self.same(question, f'min-port={first}', f'max-port={first + 2}', expected=([0, 0, 0, 508], {0, 1, 2}))

    @testing.case()
    def test_no_udp_relay(self):
        def question(server):
            return (self.code(self.client(server).allocate), self.code(self.client(server, 'tcp').allocate_tcp))

        self.same(question, 'no-udp-relay', expected=(442, 0))

    @testing.case()
    def test_no_tcp_relay(self):
        def question(server):
            return (self.code(self.client(server).allocate), self.code(self.client(server, 'tcp').allocate_tcp))

        self.same(question, 'no-tcp-relay', expected=(0, 442))

    @testing.case()
    def test_tcp_relay(self):
        """RFC 6062 both ways: the client connects, and the peer does."""
        for transport in ('tcp', 'tls'):
            self.same(lambda server, transport=transport: self.tcp_relay(server, transport), tls=self.authority.issue(),
                      ready='tls', expected=[True] * 4)

    def tcp_relay(self, server, transport):
        client, told = self.client(server, transport), []
        client.allocate_tcp()
        client.permit('127.0.0.1')
        with turn_stream.socket.create_server(('127.0.0.1', 0)) as listener:
            connection = client.connect_peer(listener.getsockname())
            peer, source = listener.accept()
            told.append(source == client.relayed[0])
            told.append(self.talks(server, client, connection, peer))
        with turn_stream.socket.create_connection(client.relayed[0]) as peer:
            connection, who = client.attempt()
            told.append(who == peer.getsockname())
            told.append(self.talks(server, client, connection, peer))
        return told

    def talks(self, server, client, connection, peer):
        sock, early = client.data_connection(connection)
        self.addCleanup(sock.close)
        peer.settimeout(5)
        sock.sendall(b'there')
        there = peer.recv(100)
        peer.sendall(b'back')
        back = early or sock.recv(100)
        peer.close()
        return (there, back, self.end_of(server, sock)) == (b'there', b'back', b'')

    # coturn may end it by a reset.
    @staticmethod
    def end_of(server, sock):
        try:
            return sock.recv(100)
        except ConnectionResetError:
            return b'' if server.kind == 'coturn' else b'reset'

    @testing.case()
    def test_allocation_default_address_family(self):
        """A key of coturn since 4.6.2; Debian's has keep-address-family only."""
        relay = ('relay-ip=127.0.0.1', 'relay-ip=::1')
        for value, wanted in (('ipv4', '127.0.0.1'), ('ipv6', '::1'), ('keep', '127.0.0.1')):
            with self.subTest(value):
                server = self.turnd(*relay, f'allocation-default-address-family={value}')
                self.assertEqual(self.relayed(server)[0], wanted)

    @testing.case()
    def test_keep_address_family(self):
        relay = ('relay-ip=127.0.0.1', 'relay-ip=::1', 'keep-address-family')
        self.same(lambda server: self.relayed(server)[0], *relay, base=options.BASE, expected='::1',
                  arguments=('--listening-ip=::1',), ip='::1')
        self.same(lambda server: self.relayed(server)[0], *relay, expected='127.0.0.1')

    def channel(self, server, number):
        client = self.client(server)
        client.allocate()
        return self.code(client.bind, number, self.peer().address)

    @testing.case()
    def test_rfc5766_channel_numbers_and_rfc8656_channel_numbers(self):
        numbers = (0x3FFF, 0x4000, 0x4FFF, 0x5000, 0x7FFE, 0x7FFF)
        wide, narrow = [400, 0, 0, 0, 0, 400], [400, 0, 0, 400, 400, 400]
        self.same(lambda server: [self.channel(server, number) for number in numbers[:-1]], expected=wide[:-1])
        for line, wanted in (('rfc5766-channel-numbers', wide), ('rfc8656-channel-numbers', narrow),
                             ('rfc5766-channel-numbers=off', narrow)):
            with self.subTest(line):
                server = self.turnd(line)
                self.assertEqual([self.channel(server, number) for number in numbers], wanted)

    @testing.case()
    def test_mobility(self):
        def question(server):
            """Whether an allocation moves to another client address: the old one is used until the new one sends."""
            first, second, peer = self.client(server), self.client(server), self.peer()
            first.allocate(mobile=True)
            if not first.ticket:
                return 'no ticket'
            first.permit(peer.address)
            second.realm, second.nonce = first.realm, None
            moved = self.code(second.request, Method.REFRESH, [(Attr.MOBILITY_TICKET, first.ticket)])
            peer.send(b'to the old address', first.relayed[0])
            before = first.receive(3)
            second.send(peer.address, b'from the new address')
            arrived = peer.receive(3)
            peer.send(b'to the new address', first.relayed[0])
            return (moved, before, arrived, second.receive(3)) == (
                0, (peer.address, b'to the old address', None), (b'from the new address', first.relayed[0]),
                (peer.address, b'to the new address', None))

        self.assertEqual(question(self.turnd('mobility')), True)
        self.same(lambda server: (self.code(self.client(server).allocate, mobile=True)), 'mobility', expected=0)

    @testing.case()
    def test_mobility_is_refused_by_default(self):
        self.same(lambda server: self.code(self.client(server).allocate, mobile=True), expected=405)

    @testing.case()
    def test_server_relay(self):
        def question(server):
            """Whether data of a peer without permission reaches the client."""
            client, peer = self.client(server), self.peer()
            client.allocate()
            client.permit('127.0.0.9')
            peer.send(b'uninvited', client.relayed[0])
            return not client.silent(0.4)

        self.same(question, 'server-relay', expected=True)
        self.same(question, expected=False)


if __name__ == '__main__':
    testing.main()
