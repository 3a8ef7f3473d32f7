#!/usr/bin/python3
"""Where the server listens, and what it takes there."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import options, processes, servers, testing, turn  # noqa: E402

WIDE = options.BASE  # without listening-ip


class Listeners(options.OptionCase):
    """Addresses, ports, transports."""

    def transports(self, server):
        """Which transports answer on which port."""
        return {(transport, port) for transport in ('udp', 'tcp', 'tls', 'dtls') for port in ('plain', 'tls')
                if self.answers(server, transport, server.address if port == 'plain' else server.tls_address)}

    ALL = {(transport, port) for transport in ('udp', 'tcp', 'tls', 'dtls') for port in ('plain', 'tls')}

    @testing.case()
    def test_listening_ip(self):
        def question(server):
            return [ip for ip in ('127.0.0.1', '127.0.0.2', '127.0.0.3') if self.answers(server, 'udp', (ip, server.port))
                    and self.answers(server, 'tcp', (ip, server.port))]

        self.same(question, 'listening-ip=127.0.0.1', 'listening-ip=127.0.0.2', base=WIDE, expected=['127.0.0.1', '127.0.0.2'])

    @testing.case()
    def test_listening_port_and_tls_listening_port(self):
        self.same(self.transports, tls=self.authority.issue(), ready='tls', expected=self.ALL)

    @testing.case()
    def test_no_tls(self):
        self.same(self.transports, 'no-tls', tls=self.authority.issue(), ready='udp',
                  expected={one for one in self.ALL if one[0] == 'udp' or one[0] == 'dtls' or one == ('tcp', 'plain')})

    @testing.case()
    def test_no_dtls(self):
        self.same(self.transports, 'no-dtls', tls=self.authority.issue(), ready='tls',
                  expected={one for one in self.ALL if one[0] in ('tcp', 'tls') or one == ('udp', 'plain')})

    @testing.case()
    def test_dtls(self):
        """Newer generations of coturn serve DTLS only with this key; here it is on, and the key turns it on again."""
        certificate = self.authority.issue()
        for lines in (('dtls',), ('no-dtls', 'dtls'), ('no-dtls=false',)):
            with self.subTest(lines):
                self.assertTrue(self.answers(self.turnd(*lines, tls=certificate), 'dtls'))
        self.assertFalse(self.answers(self.turnd('dtls=off', tls=certificate), 'dtls'))

    @testing.case()
    def test_no_udp(self):
        self.same(lambda server: (self.answers(server, 'udp'), self.answers(server, 'tcp')), 'no-udp', ready='tcp',
                  expected=(False, True))

    @testing.case()
    def test_no_tcp(self):
        self.same(lambda server: (self.answers(server, 'udp'), self.answers(server, 'tcp')), 'no-tcp', expected=(True, False))

    @testing.case()
    def test_aux_server(self):
        def question(server):
            aux = ('127.0.0.1', server.port + 1)
            return (self.answers(server, 'udp', aux), self.answers(server, 'tcp', aux), self.answers(server, 'udp'))

        self.same(question, 'aux-server=127.0.0.1:{alt}', expected=(True, True, True))

    @testing.case()
    def test_alt_listening_port(self):
        def question(server):
            """The port of OTHER-ADDRESS, against that of RESPONSE-ORIGIN."""
            answer = self.client(server).request(turn.Method.BINDING, authenticated=False)
            other = answer.plain_address(turn.Attr.OTHER_ADDRESS)
            return (other[0], other[1] - server.port, self.answers(server, 'udp', ('127.0.0.1', other[1])))

        two = ('listening-ip=127.0.0.1', 'listening-ip=127.0.0.2', 'rfc5780')
        self.same(question, *two, base=WIDE, expected=('127.0.0.2', 1, True))
        self.same(question, *two, 'alt-listening-port={alt_tls}', base=WIDE, expected=('127.0.0.2', 3, True))

    @testing.case()
    def test_alt_tls_listening_port(self):
        def question(server):
            return self.answers(server, 'dtls', ('127.0.0.2', server.port + 1))

        self.same(question, 'listening-ip=127.0.0.1', 'listening-ip=127.0.0.2', 'rfc5780', 'alt-listening-port={alt_tls}',
                  'alt-tls-listening-port={alt}', base=WIDE, tls=self.authority.issue(), expected=True)

    HEADERS = (b'PROXY TCP4 203.0.113.7 198.51.100.9 40000 3478\r\n',
               b'\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c' + bytes([203, 0, 113, 7, 198, 51, 100, 9]) +
               (40000).to_bytes(2, 'big') + (3478).to_bytes(2, 'big'))

    def proxied(self, server, header, port=None, transport='tcp'):
        client = self.client(('127.0.0.1', port or server.port + 1), transport, preface=header, timeout=2)
        return client.binding()

    @testing.case()
    def test_tcp_proxy_port(self):
        for header in self.HEADERS:
            self.same(lambda server, header=header: self.proxied(server, header), 'tcp-proxy-port={alt}',
                      expected=('203.0.113.7', 40000))

    @testing.case()
    def test_tcp_proxy_port_carries_tls(self):
        server = self.turnd('tcp-proxy-port={alt}', tls=self.authority.issue())
        for header in self.HEADERS:
            self.assertEqual(self.proxied(server, header, transport='tls'), ('203.0.113.7', 40000))

    @testing.case()
    def test_tcp_proxy_port_refuses_connections_without_header(self):
        server = self.turnd('tcp-proxy-port={alt}')
        self.assertFalse(self.answers(server, 'tcp', ('127.0.0.1', server.port + 1)))
        self.assertTrue(self.answers(server, 'tcp'))

    @testing.case()
    def test_proxy_protocol(self):
        server = self.turnd('proxy-protocol', tls=self.authority.issue(), ready='udp')
        for header in self.HEADERS:
            self.assertEqual(self.proxied(server, header, server.port), ('203.0.113.7', 40000))
            self.assertEqual(self.proxied(server, header, server.tls_port, 'tls'), ('203.0.113.7', 40000))
        self.assertFalse(self.answers(server, 'tcp'))
        self.assertTrue(self.answers(server, 'udp'))

    @testing.case()
    def test_listening_device(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to bind to a device')

        def question(server):
            return {kind: f'127.0.0.1%lo:{server.port}' in options.listening(server, kind) for kind in ('udp', 'tcp')}

        self.same(question, 'listening-device=lo', expected={'udp': True, 'tcp': True})
        self.assertIn('no-such-device', self.refused_at_start('listening-device=no-such-device'))

    @testing.case()
    def test_sock_buf_size(self):
        """The kernel doubles what it is asked for."""
        server = self.turnd('sock-buf-size=50000')
        run = processes.run(['ss', '-Hulnmp', f'sport = :{server.port}'], timeout=10)
        self.assertRegex(run.output('out'), r'rb100000\b')
        self.assertRegex(run.output('out'), r'tb100000\b')

    @testing.case()
    def test_drop_invalid_packets_log(self):
        for lines, wanted in (((), False), (('drop-invalid-packets-log',), True)):
            with self.subTest(lines):
                server = self.turnd(*lines)
                client = self.client(server)
                before = server.line_count()
                client.socket.sendto(b'\xffneither STUN nor channel data', server.address)
                client.binding()  # answered after it
                if wanted:
                    server.wait_for(r'(?i)(invalid|neither|dropped)', start=before)
                else:
                    self.assertEqual(server.lines()[before:], [])

    @testing.case(timeout=90)
    def test_udp_recvmmsg_log_and_udp_sendmmsg_log(self):
        server = self.turnd('udp-recvmmsg-log', 'udp-sendmmsg-log')
        client = self.client(server)
        end = time.monotonic() + 25
        wanted = {'receive', 'send'}
        while wanted and time.monotonic() < end:
            client.binding()
            time.sleep(0.05)
            text = server.output()
            wanted = {word for word in wanted if not re.search(rf'(?i){word}.*\d.*(datagrams?|packets?)|(?i:{word[:4]}mmsg)', text)}
        self.assertEqual(wanted, set(), server.output())


if __name__ == '__main__':
    testing.main()
