#!/usr/bin/python3
"""The configuration files of docs/port-443.md, as they stand there: TURN and a web server on one port, by turnd alone and
behind nginx and haproxy of Debian."""

import os
import re
import shutil
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import options, processes, servers, testing, turn, turn_stream, web  # noqa: E402

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'docs', 'port-443.md')
TURN_NAME = 'turn.example.org'
WEB_NAME = 'www.example.org'
STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so'


def block(section, language):
    """The text of the code block of that language under the heading."""
    with open(DOCUMENT, encoding='utf-8') as file:
        text = file.read()
    part = re.search(rf'^## {section}\n(.*?)(?=^## |\Z)', text, re.M | re.S)[1]
    return re.search(rf'^```{re.escape(language)}\n(.*?)^```$', part, re.M | re.S)[1]


class Port443(options.OptionCase):

    def setUp(self):
        super().setUp()
        self.certificates = {name: self.authority.issue(name) for name in (TURN_NAME, WEB_NAME)}
        # The documents' ports, and those of this test.
        self.ports = {port: servers.free_ports() for port in (443, 5350, 8080, 8443)}

    def local(self, text):
        """The text with this test's ports, files and addresses."""
        text = re.sub(r'(?<=\blisten )443;', '127.0.0.1:443;', text)
        text = re.sub(r'(?<=\bbind ):443\b', '127.0.0.1:443', text)
        for documented, mine in self.ports.items():
            text = re.sub(rf'(?<=[:=]){documented}\b', str(mine), text)
        for name, certificate in self.certificates.items():
            text = re.sub(rf'/etc/\w+/{re.escape(name)}\.pem', certificate.cert, text)
            text = re.sub(rf'/etc/\w+/{re.escape(name)}\.key', certificate.pkey, text)
        return text

    def start_turnd(self, section):
        """turnd with the section's lines; the frame chooses the listening ports and names the certificate."""
        lines = self.local(block(section, 'turnserver.conf')).splitlines()
        lines = [line for line in lines if not re.match(r'cert=|pkey=|tls-listening-port=', line)]
        return self.turnd(*lines, tls=self.certificates[TURN_NAME])

    def start_nginx(self, stream=''):
        if shutil.which('nginx') is None:
            self.skipTest('nginx is not installed')
        http = self.local(block('turnd in front', 'nginx-http'))
        load = f'load_module {STREAM_MODULE};\n' if stream else ''
        temporary = ''.join(f'{kind}_temp_path {self.directory}/{kind};\n'
                            for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        path = self.write('nginx.conf', f'{load}daemon off;\nmaster_process off;\npid {self.path("nginx.pid")};\n'
                          f'error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{http}}}\n{self.local(stream)}')
        nginx = self.started(processes.Process(['nginx', '-p', self.directory, '-e', 'stderr', '-c', path]))
        servers.wait_for_tcp('127.0.0.1', self.ports[8443], nginx)
        return nginx

    def start_haproxy(self):
        if shutil.which('haproxy') is None:
            self.skipTest('haproxy is not installed')
        path = self.write('haproxy.cfg', self.local(block('haproxy in front', 'haproxy')))
        haproxy = self.started(processes.Process(['haproxy', '-db', '-f', path]))
        servers.wait_for_tcp('127.0.0.1', self.ports[443], haproxy)
        return haproxy

    def check(self, address):
        """TURN by name and by protocol, the web site by its name; both know from where the client comes."""
        for name, alpn in ((TURN_NAME, ()), (WEB_NAME, ('stun.turn',))):
            with self.subTest(name=name, alpn=alpn):
                verified = turn_stream.context(self.authority.cert if name == TURN_NAME else None, alpn=alpn)
                client = self.client(address, 'tls', tls=verified, server_name=name)
                mapped = client.binding()
                self.assertEqual(mapped, client.socket.getsockname())
                client.allocate()
                self.assertTrue(self.relays(client))
        for _ in range(2):
            sock = turn_stream.connect(address, tls=turn_stream.context(self.authority.cert, alpn=('http/1.1',)),
                                       server_name=WEB_NAME)
            self.assertIn('web site for 127.0.0.1', web.get(sock, host=WEB_NAME))

    @testing.case()
    def test_turnd_in_front(self):
        self.start_nginx()
        server = self.start_turnd('turnd in front')
        self.check(server.tls_address)
        self.assertIn('web site for 127.0.0.1', web.get(turn_stream.connect(server.address), host=WEB_NAME))

    @testing.case()
    def test_nginx_in_front(self):
        if not os.path.exists(STREAM_MODULE):
            self.skipTest('libnginx-mod-stream is not installed')
        server = self.start_turnd('nginx in front')
        self.start_nginx(block('nginx in front', 'nginx-stream'))
        self.check(('127.0.0.1', self.ports[443]))
        self.assertEqual(self.code(self.client(server, 'udp').allocate), 0)

    @testing.case()
    def test_haproxy_in_front(self):
        self.start_turnd('nginx in front')
        self.start_nginx()
        self.start_haproxy()
        self.check(('127.0.0.1', self.ports[443]))

    @testing.case()
    def test_a_client_that_goes_around_the_proxy_is_closed(self):
        """And one that resets its connection through the proxy leaves no allocation behind."""
        server = self.start_turnd('nginx in front')
        self.start_nginx()
        self.start_haproxy()
        direct = turn_stream.connect(('127.0.0.1', self.ports[5350]))
        self.assertEqual(web.exchange(direct, turn.build(turn.Method.BINDING, turn.Class.REQUEST, bytes(12), ())), '')
        client = self.client(('127.0.0.1', self.ports[443]), 'tls', tls=turn_stream.context(), server_name=TURN_NAME)
        client.allocate()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        client.socket.close()
        server.wait_for(r'TCP connection closed by client')


if __name__ == '__main__':
    testing.main()
