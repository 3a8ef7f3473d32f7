#!/usr/bin/python3
"""coturn's tools through turnd's extensions, and through coturn's turnserver where it has them: behaviour discovery
(RFC 5780), redirection, realms by ORIGIN, bandwidth that a client asks for, access tokens."""

import base64
import hmac
import json
import os
import re
import secrets
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import processes, servers, testing, uclient  # noqa: E402

USER = ('-u', servers.USER, '-w', servers.PASSWORD)
QUICK = ('-n', '10', '-z', '5', '-y')
IPS = ('127.0.0.1', '127.0.0.2')


class Behaviour:
    """stunclient and natdiscovery against a server on two addresses with two ports each."""

    def start(self, port):
        raise NotImplementedError

    def setUp(self):
        super().setUp()
        self.port = servers.free_ports(4)
        self.started(self.start(self.port))

    @testing.case()
    def test_stunclient_is_answered_from_every_address(self):
        process = processes.run(['turnutils_stunclient', '-p', str(self.port), '-f', IPS[0]], timeout=20)
        self.assertEqual(process.returncode, 0, process.output())
        origins = re.findall(r'Response origin: : (\S+)', process.output())
        others = set(re.findall(r'Other addr: : (\S+)', process.output()))
        self.assertEqual(others, {f'{IPS[1]}:{self.port + 1}'}, process.output())
        self.assertIn(f'{IPS[0]}:{self.port}', origins)
        self.assertIn(f'{IPS[1]}:{self.port + 1}', origins, 'changed address and port')
        self.assertIn('RFC 5780 response 3', process.output(), 'the answer that went to another port')

    @testing.case(timeout=90)
    def test_natdiscovery_finds_no_nat(self):
        process = processes.run(['turnutils_natdiscovery', '-m', '-f', '-L', '127.0.0.1', '-p', str(self.port), IPS[0]],
                                timeout=60)
        output = process.output()
        self.assertIn('No NAT! (Endpoint Independent Mapping)', output)
        self.assertIn('NAT with Endpoint Independent Filtering!', output)
        self.assertIn('No ALG: Mapped == XOR-Mapped', output)


class BehaviourOfTurnd(Behaviour, testing.TestCase):
    def start(self, port):
        return servers.Turnd('--rfc5780', f'--alt-listening-port={port + 1}',
                             listener=(*(f'--listening-ip={ip}' for ip in IPS), f'--listening-port={port}'))


class BehaviourOfCoturn(Behaviour, testing.TestCase):
    def start(self, port):
        server = processes.Process(['stdbuf', '-oL', 'turnserver', '-n', *(f'--listening-ip={ip}' for ip in IPS),
                                    f'--listening-port={port}', f'--alt-listening-port={port + 1}', '--no-auth', '--no-tls',
                                    '--no-dtls', '--no-cli', '--log-file=stdout', '--stun-only',
                                    f'--userdb={self.path("turndb")}', f'--pidfile={self.path("pid")}'])
        wait_for_binding((IPS[0], port), server)
        return server


class Extensions(testing.TestCase):
    def relay(self, server, *options):
        outcome = uclient.run(server.address, *QUICK, *options)
        self.assertTrue(outcome.complete, f'{outcome}\n{server.output()}')
        return outcome

    @testing.case()
    def test_uclient_follows_a_redirection(self):
        target = self.started(servers.Turnd('--verbose'))
        host, port = target.address
        front = self.started(servers.Turnd(f'--alternate-server={host}:{port}', '--verbose'))
        self.relay(front, *USER)
        self.assertRegex(target.output(), r'new, realm=')
        self.assertNotRegex(front.output(), r'new, realm=')

    @testing.case()
    def test_uclient_is_of_the_realm_of_its_origin(self):
        server = self.started(servers.Turnd('--verbose', '--origin-realm=https://shop.example.com=shop.example',
                                            '--realm-user=shop.example:carol:chocolate'))
        self.relay(server, '-u', 'carol', '-w', 'chocolate', '-o', 'https://shop.example.com:443')
        self.assertRegex(server.output(), r'new, realm=<shop\.example>, username=<carol>')
        self.relay(server, *USER, '-o', 'https://elsewhere.example.com')
        self.assertRegex(server.output(), rf'new, realm=<{re.escape(servers.REALM)}>, username=<{servers.USER}>')

    @testing.case()
    def test_uclient_limits_its_own_bandwidth(self):
        server = self.started(servers.Turnd())
        limited = uclient.run(server.address, '-y', '-n', '200', '-z', '1', '-l', '1000', *USER, '-a', '20000')
        self.assertGreater(limited.lost or 0, 0, f'a limit of 20 kB/s: {limited}')
        self.relay(server, *USER, '-a', '10000000')

    @testing.case()
    def test_tokens_of_turnutils_oauth_and_ours_are_the_same(self):
        # uclient -J makes its tokens itself; turnutils_oauth is what an authorization server would run.
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        nonce = base64.b64encode(secrets.token_bytes(12)).decode()
        mac_key = base64.b64encode(b'0123456789abcdefghij').decode()
        made = processes.run(['turnutils_oauth', '-e', '-v', '-i', servers.REALM, '-j', 'kid1', '-k', key, '-l', '1',
                              '-m', '4000000000', '-n', 'A256GCM', '-o', nonce, '-p', mac_key,
                              '-q', str(int(time.time()) << 16), '-r', '600'], timeout=20)
        text = made.output()
        token = base64.b64decode(json.loads(text[text.index('{'):text.rindex('}') + 1])['access_token'])
        server = self.started(servers.Turnd('--oauth', f'--oauth-key=kid1:{key}:A256GCM'))
        self.assertEqual(allocate_with_token(server.address, 'kid1', token, b'0123456789abcdefghij'), 0)
        self.assertEqual(allocate_with_token(server.address, 'kid1', token[:-1] + bytes([token[-1] ^ 1]),
                                             b'0123456789abcdefghij'), 401)
        self.assertEqual(allocate_with_token(server.address, 'kid2', token, b'0123456789abcdefghij'), 401)


def wait_for_binding(address, server):
    """Until a Binding request is answered: Debian's turnserver does not say when it listens."""
    deadline = time.monotonic() + processes.START_TIMEOUT
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.connect(address)
            try:
                sock.send(struct.pack('>HHI', 1, 0, 0x2112A442) + os.urandom(12))
                sock.recv(2000)
                return
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.05)
    raise AssertionError(f'no answer from {address}: {server.output()}')


def allocate_with_token(server, kid, token, mac_key):
    """The error code of an Allocate with this token; 0: success."""

    def attribute(kind, value):
        return struct.pack('>HH', kind, len(value)) + value + b'\0' * (-len(value) % 4)

    def exchange(sock, attributes, key=None):
        body = b''.join(attributes)
        length = len(body) + (24 if key else 0)
        head = struct.pack('>HHI', 3, length, 0x2112A442) + os.urandom(12)
        message = head + body
        if key:
            message += attribute(8, hmac.new(key, message, 'sha1').digest())
        sock.send(message)
        answer = sock.recv(2000)
        found, at = {}, 20
        while at < len(answer):
            kind, size = struct.unpack('>HH', answer[at:at + 4])
            found[kind] = answer[at + 4:at + 4 + size]
            at += 4 + (size + 3) // 4 * 4
        return found[9][2] * 100 + found[9][3] if 9 in found else 0, found

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect(server)
        transport = attribute(0x19, bytes([17, 0, 0, 0]))
        code, challenge = exchange(sock, [transport])
        assert code == 401 and 0x802E in challenge, challenge
        code, _ = exchange(sock, [transport, attribute(6, kid.encode()), attribute(0x14, challenge[0x14]),
                                  attribute(0x15, challenge[0x15]), attribute(0x1B, token)], mac_key)
        return code


if __name__ == '__main__':
    testing.main()
