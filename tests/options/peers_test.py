#!/usr/bin/python3
"""Whom clients may reach."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import options, testing  # noqa: E402

STRICT = tuple(line for line in options.BASE if line != 'allow-loopback-peers')


class Peers(options.OptionCase):
    """The section PEERS of turnd.conf(5)."""

    def codes(self, *ips):
        """A question: what CreatePermission says for each address."""
        def question(server):
            client = self.client(server)
            client.allocate()
            return {ip: self.code(client.permit, ip) for ip in ips}

        return question

    @testing.case()
    def test_denied_peer_ip(self):
        self.same(self.codes('198.51.100.7', '198.51.100.8', '192.0.2.1', '192.0.2.9', '192.0.2.10'),
                  'denied-peer-ip=198.51.100.7', 'denied-peer-ip=192.0.2.0-192.0.2.9',
                  expected={'198.51.100.7': 403, '198.51.100.8': 0, '192.0.2.1': 403, '192.0.2.9': 403, '192.0.2.10': 0})

    @testing.case()
    def test_denied_peer_ip_as_a_network(self):
        """coturn stops at such a line, or ignores it, as its version goes."""
        ips = ('192.0.2.1', '192.0.3.1')
        self.assertEqual(self.codes(*ips)(self.turnd('denied-peer-ip=192.0.2.0/24')), {'192.0.2.1': 403, '192.0.3.1': 0})

    @testing.case()
    def test_denied_peer_ip_with_a_port(self):
        barred, free = self.peer(), self.peer()
        client = self.client(self.turnd(f'denied-peer-ip=127.0.0.1:{barred.address[1]}', 'min-port=61000'))
        client.allocate()
        self.assertEqual(self.code(client.bind, 0x4000, barred.address), 403)
        self.assertEqual(self.code(client.bind, 0x4001, free.address), 0)

    @testing.case()
    def test_allowed_peer_ip(self):
        self.same(self.codes('198.51.100.7', '198.51.100.8'), 'denied-peer-ip=198.51.100.0-198.51.100.255',
                  'allowed-peer-ip=198.51.100.7', expected={'198.51.100.7': 0, '198.51.100.8': 403})

    @testing.case()
    def test_only_peer_ip(self):
        server = self.turnd('only-peer-ip=198.51.100.7', 'only-peer-ip=192.0.2.0/30:8443')
        self.assertEqual(self.codes('198.51.100.7', '198.51.100.8', '192.0.2.3', '192.0.2.4')(server),
                         {'198.51.100.7': 0, '198.51.100.8': 403, '192.0.2.3': 0, '192.0.2.4': 403})
        client = self.client(server)
        client.allocate()
        self.assertEqual([self.code(client.bind, 0x4000 + port % 7, ('192.0.2.3', port)) for port in (8443, 8444)], [0, 403])

    @testing.case()
    def test_no_private_peers(self):
        private = ('10.1.2.3', '192.168.1.1', '172.20.0.1', '100.64.0.1')
        self.same(self.codes(*private), expected={ip: 0 for ip in private})
        server = self.turnd('no-private-peers', 'allowed-peer-ip=10.1.2.3')
        self.assertEqual(self.codes(*private, '198.51.100.1')(server),
                         {'10.1.2.3': 0, '192.168.1.1': 403, '172.20.0.1': 403, '100.64.0.1': 403, '198.51.100.1': 0})

    @testing.case()
    def test_no_multicast_peers(self):
        many = ('224.0.0.1', '239.1.2.3')
        self.same(self.codes(*many), 'no-multicast-peers', expected={ip: 403 for ip in many})
        self.assertEqual(self.codes(*many)(self.turnd()), {ip: 403 for ip in many}, 'on by default here')
        self.assertEqual(self.codes(*many)(self.turnd('no-multicast-peers=off')), {ip: 0 for ip in many})

    @testing.case()
    def test_allow_loopback_peers(self):
        self.same(self.codes('127.0.0.1', '127.9.9.9'), expected={'127.0.0.1': 0, '127.9.9.9': 0})
        self.same(self.codes('127.0.0.1', '127.9.9.9'), base=STRICT + options.LISTENING,
                  expected={'127.0.0.1': 403, '127.9.9.9': 403})


if __name__ == '__main__':
    testing.main()
