#!/usr/bin/python3
"""turnd on a host with several interfaces and addresses: where it listens and relays when nobody says, and when a device
is named. Hosts in network namespaces."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import lab, servers, testing, turn  # noqa: E402

PORT = 3478
# The server has two interfaces: one to the clients, one to the peers.
SERVER = ('10.88.1.2', '10.88.1.3', 'fd88:1::2')
CLIENT = ('10.88.1.50', 'fd88:1::50')
INNER = ('10.88.2.2', 'fd88:2::2')
PEER = ('10.88.2.60', 'fd88:2::60')


class TwoInterfaces(lab.netlab.Lab):
    """A client, a server and a peer in a row; nothing is routed but what the server relays."""

    def __init__(self):
        super().__init__()
        self.client, self.server, self.peer = (self.host(name) for name in ('client', 'server', 'peer'))
        self.link(self.client, [CLIENT[0] + '/24', CLIENT[1] + '/64'],
                  self.server, [SERVER[0] + '/24', SERVER[1] + '/24', SERVER[2] + '/64'])  # eth0 of the server
        self.link(self.peer, [PEER[0] + '/24', PEER[1] + '/64'],
                  self.server, [INNER[0] + '/24', INNER[1] + '/64'])  # eth1 of the server
        self.client.route_via(SERVER[0])
        self.client.route_via(SERVER[2])
        self.peer.route_via(INNER[0])
        self.peer.route_via(INNER[1])


class Network(testing.TestCase):
    """Each test has hosts of its own."""

    def setUp(self):
        super().setUp()
        self.world = lab.make(self, TwoInterfaces)

    def start_turnd(self, *options):
        # Unique local addresses are no peers unless a line names them.
        return self.started(servers.Turnd(
            *options, '--allowed-peer-ip=fd88::/16', common=('-n', '--pidfile=', f'--realm={servers.REALM}'),
            listener=(f'--listening-port={PORT}',), prefix=self.world.server.inside([])))

    def client(self, server, **options):
        ip = CLIENT[1] if ':' in server else CLIENT[0]
        client = turn.Client((server, PORT), servers.USER, servers.PASSWORD,
                             sock=lab.socket_in(self.world.client, ip), **options)
        self.addCleanup(client.socket.close)
        return client

    def check_data(self, client, peer_ip):
        peer = lab.socket_in(self.world.peer, peer_ip)
        self.addCleanup(peer.close)
        peer.settimeout(10)
        address = peer.getsockname()[:2]
        client.permit(peer_ip)
        client.send(address, b'out')
        data, source = peer.recvfrom(100)
        self.assertEqual(data, b'out')
        peer.sendto(b'in', source)
        self.assertEqual(client.receive(), (address, b'in', None))
        return source[:2]

    @testing.case(labels=['lab'])
    def test_without_addresses_it_listens_on_all_and_relays_where_it_was_asked(self):
        turnd = self.start_turnd()
        listening = {ip for ip, _ in turnd.listeners()}
        self.assertEqual(listening, {*SERVER, *INNER, '127.0.0.1', '::1'}, turnd.output())
        for ip in SERVER:
            with self.subTest(ip):
                client = self.client(ip)
                self.assertEqual(client.binding(), client.socket.getsockname()[:2])
                client.allocate(family=turn.IPV6 if ':' in ip else turn.IPV4)
                self.assertEqual(client.relayed[0][0], ip)
                self.assertEqual(self.check_data(client, PEER[1] if ':' in ip else PEER[0]), client.relayed[0])

    @testing.case(labels=['lab'])
    def test_wildcard_listener_on_every_address(self):
        turnd = self.start_turnd('--listening-ip=0.0.0.0', '--listening-ip=::')
        self.assertEqual({ip for ip, _ in turnd.listeners()}, {'0.0.0.0', '::'})
        for ip in SERVER:
            with self.subTest(ip):
                client = self.client(ip)  # takes answers from that address only
                client.allocate(family=turn.IPV6 if ':' in ip else turn.IPV4)
                self.assertEqual(client.relayed[0][0], ip)
                self.check_data(client, PEER[1] if ':' in ip else PEER[0])

    @testing.case(labels=['lab'])
    def test_relay_address_on_the_other_interface(self):
        self.start_turnd(f'--listening-ip={SERVER[0]}', f'--relay-ip={INNER[0]}', f'--relay-ip={INNER[1]}')
        client = self.client(SERVER[0])
        client.allocate(dual=True)
        self.assertEqual([ip for ip, _ in client.relayed], list(INNER))
        self.assertEqual(self.check_data(client, PEER[0]), client.relayed[0])
        self.assertEqual(self.check_data(client, PEER[1]), client.relayed[1])

    @testing.case(labels=['lab'])
    def test_listening_device(self):
        self.start_turnd('--listening-device=eth0', '--listening-ip=0.0.0.0')
        self.client(SERVER[0]).binding()
        outsider = turn.Client((INNER[0], PORT), sock=lab.socket_in(self.world.peer, PEER[0]), timeout=1.0)
        self.addCleanup(outsider.socket.close)
        with self.assertRaises(turn.NoAnswer):
            outsider.binding()

    @testing.case(labels=['lab'])
    def test_relay_device(self):
        """Bound to the peers' side, relayed ports take nothing from the clients' side."""
        self.start_turnd('--relay-device=eth1', f'--listening-ip={SERVER[0]}', f'--relay-ip={INNER[0]}')
        client = self.client(SERVER[0])
        client.allocate()
        self.check_data(client, PEER[0])
        neighbour = lab.socket_in(self.world.client, CLIENT[0])
        self.addCleanup(neighbour.close)
        client.permit(CLIENT[0])
        neighbour.sendto(b'from the wrong side', client.relayed[0])
        self.assertTrue(client.silent())


if __name__ == '__main__':
    testing.main()
