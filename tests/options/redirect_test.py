#!/usr/bin/python3
"""Clients that are sent to other servers (300)."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import options, testing, turn  # noqa: E402
from lib.turn import Attr  # noqa: E402


class Redirect(options.OptionCase):
    """The lists, and who gets which."""

    def sent_to(self, server, transport='udp', address=None, times=1):
        """Where Allocate is sent; None when it is served, a code when it is refused otherwise."""
        places = []
        for _ in range(times):
            try:
                self.client(address or server.address, transport).allocate()
                places.append(None)
            except turn.Refused as refused:
                alternate = refused.response.plain_address(Attr.ALTERNATE_SERVER)
                places.append(alternate if refused.code == 300 else refused.code)
        return places if times > 1 else places[0]

    def by_transport(self, server):
        return {transport: self.sent_to(server, transport) for transport in ('udp', 'tcp', 'tls', 'dtls')}

    @testing.case()
    def test_alternate_server(self):
        self.same(self.sent_to, 'alternate-server=192.0.2.7:4000', expected=('192.0.2.7', 4000))
        self.same(self.sent_to, 'alternate-server=192.0.2.7', expected=('192.0.2.7', 3478))

    @testing.case()
    def test_alternate_server_takes_turns(self):
        lines = ('alternate-server=192.0.2.7:4000', 'alternate-server=192.0.2.8:4000')
        self.same(lambda server: set(self.sent_to(server, times=8)), *lines,
                  expected={('192.0.2.7', 4000), ('192.0.2.8', 4000)})

    @testing.case()
    def test_alternate_server_that_is_this_one(self):
        """Two servers may have the same list."""
        self.same(self.sent_to, 'alternate-server=127.0.0.1:{port}', 'alternate-server=192.0.2.7:4000', expected=None)

    @testing.case()
    def test_alternate_server_of_another_family(self):
        self.same(self.sent_to, 'alternate-server=[2001:db8::7]:4000', expected=None)

    @testing.case()
    def test_tls_alternate_server(self):
        self.same(self.by_transport, 'tls-alternate-server=192.0.2.9:5000', tls=self.authority.issue(), ready='tls',
                  expected={'udp': None, 'tcp': None, 'tls': ('192.0.2.9', 5000), 'dtls': ('192.0.2.9', 5000)})
        server = self.turnd('tls-alternate-server=192.0.2.9', tls=self.authority.issue())
        self.assertEqual(self.sent_to(server, 'tls'), ('192.0.2.9', 5349))

    @testing.case()
    def test_udp_alternate_server(self):
        server = self.turnd('udp-alternate-server=192.0.2.5:5001', 'alternate-server=192.0.2.7:4000',
                            tls=self.authority.issue())
        self.assertEqual(self.by_transport(server), {'udp': ('192.0.2.5', 5001), 'dtls': ('192.0.2.5', 5001),
                                                     'tcp': ('192.0.2.7', 4000), 'tls': ('192.0.2.7', 4000)})

    @testing.case()
    def test_tcp_alternate_server(self):
        server = self.turnd('tcp-alternate-server=192.0.2.6:5002', 'alternate-server=192.0.2.7:4000',
                            tls=self.authority.issue())
        self.assertEqual(self.by_transport(server), {'udp': ('192.0.2.7', 4000), 'dtls': ('192.0.2.7', 4000),
                                                     'tcp': ('192.0.2.6', 5002), 'tls': ('192.0.2.6', 5002)})

    @testing.case()
    def test_udp_self_balance(self):
        def question(server):
            udp = self.sent_to(server)
            return (udp and udp[1] - server.port, self.sent_to(server, 'tcp'),
                    self.sent_to(server, address=('127.0.0.1', server.port + 1)))

        self.same(question, 'aux-server=127.0.0.1:{alt}', 'udp-self-balance', expected=(1, None, None))
        self.same(question, 'aux-server=127.0.0.1:{alt}', expected=(None, None, None))


if __name__ == '__main__':
    testing.main()
