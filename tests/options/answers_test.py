#!/usr/bin/python3
"""What answers carry, and which requests get one."""

import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import options, testing, turn  # noqa: E402
from lib.turn import Attr, Method  # noqa: E402

TWO = ('listening-ip=127.0.0.1', 'listening-ip=127.0.0.2')


class Answers(options.OptionCase):
    """The section Answers of turnd.conf(5)."""

    def binding(self, server):
        return self.client(server).request(Method.BINDING, authenticated=False)

    def after_refresh(self, server):
        client = self.client(server)
        client.allocate()
        return client.request(Method.REFRESH)

    @testing.case()
    def test_fingerprint(self):
        self.same(lambda server: self.binding(server).check_fingerprint(), 'fingerprint', expected=True)
        self.same(lambda server: self.binding(server).check_fingerprint(), expected=False)

    @testing.case()
    def test_no_software_attribute(self):
        """Off by default in newer coturn and here; Debian's has it on."""
        self.same(lambda server: self.after_refresh(server).find(Attr.SOFTWARE), 'no-software-attribute', expected=None)
        self.assertIsNone(self.after_refresh(self.turnd()).find(Attr.SOFTWARE))

    @testing.case()
    def test_software_attribute(self):
        for lines in (('software-attribute',), ('no-software-attribute=off',), ('prod=off',)):
            self.assertIn(b'turnkit', self.after_refresh(self.turnd(*lines)).find(Attr.SOFTWARE).lower())
        self.assertIsNone(self.after_refresh(self.turnd('software-attribute', 'prod')).find(Attr.SOFTWARE))

    @testing.case()
    def test_include_reason_string(self):
        def reason(server):
            client = self.client(server)
            client.allocate()
            try:
                client.request(Method.CHANNEL_BIND, [(Attr.CHANNEL_NUMBER, struct.pack('!HH', 0x4000, 0))])
            except turn.Refused as refused:
                return refused.response.error()[1]
            return None

        self.assertEqual(reason(self.turnd()), 'Bad Request')
        detailed = reason(self.turnd('include-reason-string'))
        self.assertGreater(len(detailed), len('Bad Request'), detailed)

    @testing.case()
    def test_no_stun(self):
        def question(server):
            return (self.answers(server, 'udp'), self.answers(server, 'tcp'), self.code(self.client(server).allocate))

        self.same(question, 'no-stun', ready='allocate', expected=(False, False, 0))

    @testing.case()
    def test_stun_only(self):
        def question(server):
            return (self.answers(server, 'udp'), self.code(self.client(server, timeout=0.7).allocate))

        self.same(question, 'stun-only', expected=(True, None))

    def behaviour(self, server):
        """RFC 5780: who else there is, and from where answers come that are asked to come from elsewhere."""
        client = self.client(server)
        answer = client.request(Method.BINDING, authenticated=False)
        other, origin = answer.plain_address(Attr.OTHER_ADDRESS), answer.plain_address(Attr.RESPONSE_ORIGIN)
        if other is None:
            return None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(('127.0.0.1', 0))
            sock.settimeout(3)
            sources = []
            for flags in (0, 2, 4, 6):  # neither, port, address, both
                sock.sendto(turn.build(Method.BINDING, turn.Class.REQUEST, os.urandom(12),
                                       [(Attr.CHANGE_REQUEST, struct.pack('!I', flags))]), server.address)
                ip, port = sock.recvfrom(2000)[1]
                sources.append((ip, port - server.port))
        return (other[0], other[1] - server.port), (origin[0], origin[1] - server.port), sources

    BEHAVIOUR = (('127.0.0.2', 1), ('127.0.0.1', 0),
                 [('127.0.0.1', 0), ('127.0.0.1', 1), ('127.0.0.2', 0), ('127.0.0.2', 1)])

    @testing.case()
    def test_rfc5780(self):
        """In Debian's coturn it is on with two addresses; the key is of later ones, and only a warning there."""
        self.same(self.behaviour, *TWO, 'rfc5780', base=options.BASE, expected=self.BEHAVIOUR)
        self.assertIsNone(self.behaviour(self.turnd(*TWO, base=options.BASE)))

    @testing.case()
    def test_no_rfc5780(self):
        self.same(self.behaviour, *TWO, 'no-rfc5780', base=options.BASE, expected=None)

    @testing.case()
    def test_rfc5780_response_port_and_padding(self):
        def question(server):
            client = self.client(server)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
                elsewhere.bind(('127.0.0.1', 0))
                elsewhere.settimeout(3)
                port = elsewhere.getsockname()[1]
                client.socket.sendto(turn.build(Method.BINDING, turn.Class.REQUEST, os.urandom(12),
                                                [(Attr.RESPONSE_PORT, struct.pack('!HH', port, 0))]), server.address)
                arrived = turn.Message(elsewhere.recv(2000)).cls
            padded = client.request(Method.BINDING, [(Attr.PADDING, bytes(64))], authenticated=False)
            return (arrived, padded.find(Attr.PADDING) is not None)

        self.same(question, *TWO, 'rfc5780', base=options.BASE, expected=(turn.Class.SUCCESS, True))

    @testing.case()
    def test_stun_backward_compatibility(self):
        """On in Debian's coturn unless the older no- key is given; off by default in newer ones and here."""
        self.same(lambda server: self.binding(server).find(Attr.MAPPED_ADDRESS), 'no-stun-backward-compatibility',
                  expected=None)
        self.assertIsNone(self.binding(self.turnd()).find(Attr.MAPPED_ADDRESS))
        for lines in (('stun-backward-compatibility',), ('no-stun-backward-compatibility=off',)):
            server = self.turnd(*lines)
            client = self.client(server)
            answer = client.request(Method.BINDING, authenticated=False)
            self.assertEqual(answer.plain_address(Attr.MAPPED_ADDRESS), ('127.0.0.1', client.socket.getsockname()[1]))

    def old_binding(self, server):
        """A Binding request as RFC 3489 has it: 16 bytes of transaction id, and no cookie. The mapped address."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(server.address)
            sock.settimeout(0.7)
            transaction = b'sixteen bytes id'
            sock.send(struct.pack('!HH', 0x0001, 0) + transaction)
            try:
                raw = sock.recv(2000)
            except TimeoutError:
                return None
            kind, length = struct.unpack_from('!HH', raw)
            if (kind, length, raw[4:20]) != (0x0101, len(raw) - 20, transaction):
                return raw
            at, found = 20, {}
            while at < len(raw):
                attribute, size = struct.unpack_from('!HH', raw, at)
                found[attribute] = raw[at + 4:at + 4 + size]
                at += 4 + size + -size % 4
            return turn.decode_plain_address(found[Attr.MAPPED_ADDRESS]) == sock.getsockname()

    @testing.case()
    def test_rfc3489_compatibility(self):
        """In Debian's coturn it is always on; the key is of later ones."""
        self.same(self.old_binding, 'rfc3489-compatibility', expected=True)
        self.assertIsNone(self.old_binding(self.turnd()))

    @testing.case()
    def test_secure_stun(self):
        def question(server):
            client = self.client(server)
            bare = self.code(client.request, Method.BINDING, authenticated=False)
            return (bare, self.code(client.request, Method.BINDING))

        self.same(question, 'secure-stun', ready='allocate', expected=(401, 0))
        self.same(question, expected=(0, 0))


if __name__ == '__main__':
    testing.main()
