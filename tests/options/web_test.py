#!/usr/bin/python3
"""One port for TURN and a web server."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import certificates, options, testing, turn_stream, web  # noqa: E402

TURN_NAME = certificates.SERVER_NAME
WEB_NAME = 'www.test.example'


class Web(options.OptionCase):
    """The section "Sharing ports with a web server" of turnd.conf(5)."""

    def site(self, name='site', **how):
        site = web.Site(name, **how)
        self.addCleanup(site.close)
        return site

    def setUp(self):
        super().setUp()
        self.certificate = self.authority.issue()

    def tls_socket(self, server, name, alpn=()):
        return turn_stream.connect(server.tls_address, tls=turn_stream.context(self.authority.cert, alpn=alpn), server_name=name)

    def is_turn(self, server, name, alpn=()):
        client = self.client(server.tls_address, 'tls', tls=turn_stream.context(self.authority.cert, alpn=alpn),
                             server_name=name, timeout=3)
        return self.code(client.allocate) == 0

    def named(self, site):
        return '{}:{}'.format(*site.address)

    @testing.case()
    def test_sni_turn_and_tls_backend(self):
        site = self.site(tls=self.authority.issue(WEB_NAME))
        server = self.turnd(f'sni-turn={TURN_NAME}', f'tls-backend={self.named(site)}', tls=self.certificate)
        self.assertTrue(self.is_turn(server, TURN_NAME))
        sock = self.tls_socket(server, WEB_NAME)  # verified: the site's certificate came through, untouched
        self.assertIn('site', web.get(sock))
        sock = turn_stream.connect(server.tls_address, tls=turn_stream.context(), server_name='unknown.example')
        self.assertIn('site', web.get(sock))
        nameless = self.client(server.tls_address, 'tls')  # Python sends no name for an address
        self.assertEqual(self.code(nameless.allocate), 0)

    @testing.case()
    def test_sni_turn_of_many_hosts(self):
        site = self.site(tls=self.authority.issue(WEB_NAME))
        server = self.turnd('sni-turn=*.relay.example', f'sni-turn={TURN_NAME}', f'tls-backend={self.named(site)}',
                            tls=self.certificate)
        for name, turns in (('a.relay.example', True), ('B.Relay.Example', True), ('relay.example', False),
                            ('a.b.relay.example', False), (TURN_NAME, True)):
            with self.subTest(name):
                sock = turn_stream.connect(server.tls_address, tls=turn_stream.context(), server_name=name)
                self.assertEqual('site' not in web.get(sock), turns)

    @testing.case()
    def test_tls_backend_by_alpn(self):
        """One name for both: what a client offers by ALPN decides."""
        site = self.site(tls=self.authority.issue(TURN_NAME), alpn=('h2', 'http/1.1'))
        server = self.turnd(f'tls-backend={self.named(site)}', tls=self.certificate)
        self.assertTrue(self.is_turn(server, TURN_NAME, ['stun.turn']))
        self.assertTrue(self.is_turn(server, TURN_NAME))
        sock = self.tls_socket(server, TURN_NAME, ['h2', 'http/1.1'])
        self.assertEqual(sock.selected_alpn_protocol(), 'h2')
        self.assertIn('site', web.get(sock))

    @testing.case()
    def test_tls_backend_that_is_down(self):
        """The connection ends; TURN goes on."""
        site = self.site(tls=self.authority.issue(WEB_NAME))
        site.close()
        server = self.turnd(f'sni-turn={TURN_NAME}', f'tls-backend={self.named(site)}', tls=self.certificate)
        with self.assertRaises(OSError):
            self.tls_socket(server, WEB_NAME)
        self.assertTrue(self.is_turn(server, TURN_NAME))

    @testing.case()
    def test_http_backend(self):
        site = self.site()
        server = self.turnd(f'http-backend={self.named(site)}', tls=self.certificate)
        self.assertIn('site', web.get(turn_stream.connect(server.address)))
        self.assertIn('site', web.get(self.tls_socket(server, TURN_NAME)), 'inside our own TLS, too')
        self.assertTrue(self.is_turn(server, TURN_NAME))
        self.assertEqual(self.code(self.client(server, 'tcp').allocate), 0)
        self.assertEqual(site.seen, ['GET / HTTP/1.1'] * 2)

    @testing.case()
    def test_http_backend_gets_big_requests_whole(self):
        site = self.site()
        server = self.turnd(f'http-backend={self.named(site)}')
        self.assertIn('site', web.get(turn_stream.connect(server.address), '/' + 'x' * 200000))
        self.assertEqual(len(site.seen[0]), 200000 + len('GET / HTTP/1.1'))

    @testing.case()
    def test_backend_proxy_protocol(self):
        site = self.site(tls=self.authority.issue(WEB_NAME), proxied=True)
        plain = self.site('plain', proxied=True)
        server = self.turnd(f'sni-turn={TURN_NAME}', f'tls-backend={self.named(site)}', f'http-backend={self.named(plain)}',
                            'backend-proxy-protocol', tls=self.certificate)
        sock = self.tls_socket(server, WEB_NAME)
        mine = '{}:{}'.format(*sock.getsockname())
        self.assertIn(f'site {mine}', web.get(sock))
        sock = turn_stream.connect(server.address)
        mine = '{}:{}'.format(*sock.getsockname())
        self.assertIn(f'plain {mine}', web.get(sock))

    TOKEN = 'evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA'
    CHALLENGE = f'/.well-known/acme-challenge/{TOKEN}'

    @testing.case()
    def test_acme_redirect(self):
        server = self.turnd('acme-redirect=http://redirect.example/challenge/', tls=self.certificate)
        for sock in (turn_stream.connect(server.address), self.tls_socket(server, TURN_NAME)):
            answer = web.get(sock, self.CHALLENGE)
            self.assertRegex(answer, r'^HTTP/1\.1 301 ')
            self.assertIn(f'\r\nLocation: http://redirect.example/challenge/{self.TOKEN}\r\n', answer)

    @testing.case()
    def test_acme_redirect_is_for_challenges_only(self):
        server = self.turnd('acme-redirect=http://redirect.example/challenge/')
        for path in ('/', '/.well-known/acme-challenge/', '/.well-known/acme-challenge/../../x', '/.well-known/other'):
            with self.subTest(path):
                self.assertNotIn('Location', web.get(turn_stream.connect(server.address), path))

    @testing.case()
    def test_respond_http_unsupported(self):
        """A key of coturn since 4.14."""
        self.assertEqual(web.get(turn_stream.connect(self.turnd().address)), '')
        server = self.turnd('respond-http-unsupported', tls=self.certificate)
        self.assertRegex(web.get(turn_stream.connect(server.address)), r'^HTTP/1\.1 400 ')
        self.assertRegex(web.get(self.tls_socket(server, TURN_NAME)), r'^HTTP/1\.1 400 ')

    @testing.case()
    def test_garbage_ends(self):
        for lines in ((), ('respond-http-unsupported',)):
            server = self.turnd(*lines)
            with socket.create_connection(server.address) as sock:
                self.assertEqual(web.exchange(sock, b'\xff\xfe\xfd\xfc' * 10), '')


if __name__ == '__main__':
    testing.main()
