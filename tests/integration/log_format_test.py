#!/usr/bin/python3
"""Expressions that administrators have for coturn's log, in fail2ban and in scripts, against turnd's log in coturn's
two shapes. The expressions are run against coturn's own log too, so that they are what they claim to be."""

import ipaddress
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import options, processes, servers, testing, turn  # noqa: E402

# As fail2ban reads a filter: <HOST> is an address, the date in front is taken off by its own expression.
HOST = r'(?:\[?(?:::f{4,6}:)?(?P<host>[0-9A-Fa-f:.]+)\]?)'
OLD_TIME = r'^(?P<time>\d+): (?:\(\d+\): (?:INFO|ERROR|WARNING): |: )'
NEW_TIME = r'^(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+[+-]\d\d:?\d\d) (?:DEBUG|INFO|WARNING|ERROR) '

WRONG_PASSWORD = (
    # A ban by the session's closing line; the user is the one that was refused.
    r'session \d+: closed \(2nd stage\), user <[^>]*> realm <[^>]*> origin <[^>]*>, local [^,]+, remote <HOST>:\d+, reason: .+$',
    # The counting line: refused for its credentials.
    r'session \d+: realm <[^>]*> user <(?P<user>[^>]*)>: incoming packet (?:ALLOCATE|message) processed, error 401: Unauthorized',
)
SESSION = (
    r'session (?P<id>\d{18}): new, realm=<(?P<realm>[^>]+)>, username=<(?P<user>[^>]+)>, lifetime=(?P<lifetime>\d+)',
    r'session \d{18}: realm <[^>]+> user <[^>]+>: incoming packet ALLOCATE processed, success',
    r'session \d{18}: peer 127\.0\.0\.1 lifetime updated: \d+',
    r'session \d{18}: realm <[^>]+> user <[^>]+>: incoming packet CREATE_PERMISSION processed, success',
    r'session \d{18}: realm <[^>]+> user <[^>]+>: incoming packet CHANNEL_BIND processed, success',
    r'session \d{18}: refreshed, realm=<[^>]+>, username=<[^>]+>, lifetime=\d+',
    r'session \d{18}: realm <[^>]+> user <[^>]+>: incoming packet REFRESH processed, success',
    r'session \d{18}: usage: realm=<[^>]+>, username=<[^>]+>, rp=\d+, rb=\d+, sp=\d+, sb=\d+',
    r'session \d{18}: peer usage: realm=<[^>]+>, username=<[^>]+>, rp=\d+, rb=\d+, sp=\d+, sb=\d+',
    r'session \d{18}: closed \(2nd stage\), user <[^>]+> realm <[^>]+> origin <[^>]*>, local 127\.0\.0\.1:\d+, remote <HOST>:\d+, '
    r'reason: \S.*',
    r'session \d{18}: delete: realm=<[^>]+>, username=<[^>]+>',
)
REFUSED = (r'session \d{18}: realm <[^>]+> user <[^>]+>: incoming packet CREATE_PERMISSION processed, error 403: Forbidden',)


class LogFormat(options.OptionCase):
    """Each test runs the same clients against both servers."""

    LINES = ('denied-peer-ip=198.51.100.1',)

    def servers(self):
        """(server, the expression of its time)."""
        if 'turnd' in options.kinds():
            yield self.turnd('log-format=coturn-4.6', *self.LINES), OLD_TIME
            yield self.turnd('log-format=coturn', *self.LINES), NEW_TIME
        yield self.start('coturn', *self.LINES), OLD_TIME
        yield self.start('coturn', 'new-log-timestamp', *self.LINES), r'^(?P<time>\d{4}-\d\d-\d\dT\S+) ?: '

    def find(self, server, time, expression, what=''):
        compiled = re.compile(time + expression.replace('<HOST>', HOST))

        def found():
            return next((match for match in map(compiled.match, server.lines()) if match), None)

        try:
            return processes.until(found, expression, timeout=10)
        except processes.ProcessFailure:
            self.fail(f'{server.configuration} {what}: no line has {compiled.pattern}\nit logged:\n{server.output()}')

    @testing.case()
    def test_a_session_from_start_to_end(self):
        for server, time in self.servers():
            client, peer = self.client(server), self.peer()
            client.allocate()
            self.assertTrue(self.relays(client, peer))
            client.bind(0x4000, peer.address)
            self.code(client.permit, '198.51.100.1')
            client.refresh(700)
            client.delete()
            with self.subTest(server.kind, time=time):
                found = {expression: self.find(server, time, expression) for expression in SESSION + REFUSED}
                new, closed = found[SESSION[0]], found[SESSION[-2]]
                self.assertEqual((new['realm'], new['user'], new['lifetime']), (servers.REALM, servers.USER, '600'))
                self.assertEqual(ipaddress.ip_address(closed['host']), ipaddress.ip_address('127.0.0.1'))
            server.kill()

    @testing.case()
    def test_the_source_of_a_wrong_password(self):
        """Over TCP, where the source is proven; coturn names it when the connection ends."""
        for server, time in self.servers():
            client = self.client(server, 'tcp', password='wrong', local=('127.0.0.66', 0))
            self.assertEqual(self.code(client.allocate), 401)
            client.socket.close()
            with self.subTest(server.kind, time=time):
                self.find(server, time, WRONG_PASSWORD[1])
                self.assertEqual(self.find(server, time, WRONG_PASSWORD[0])['host'], '127.0.0.66')
            server.kill()

    @testing.case()
    def test_usage_adds_up(self):
        """What accounting scripts read: packets and bytes of a session."""
        for server, time in self.servers():
            client, peer = self.client(server), self.peer()
            client.allocate()
            client.bind(0x4000, peer.address)
            for _ in range(10):
                client.send_channel(0x4000, bytes(100))
                peer.send(bytes(200), peer.receive()[1])
                client.receive()
            client.delete()
            with self.subTest(server.kind, time=time):
                usage = self.find(server, time, r'session \d+: peer usage: .*, rp=(?P<rp>\d+), rb=(?P<rb>\d+), sp=(?P<sp>\d+), sb=(?P<sb>\d+)')
                self.assertEqual({key: int(usage[key]) for key in ('rp', 'rb', 'sp', 'sb')},
                                 {'rp': 10, 'rb': 2000, 'sp': 10, 'sb': 1000})
            server.kill()

    @testing.case()
    def test_start_up_lines_that_scripts_wait_for(self):
        for server, time in self.servers():
            with self.subTest(server.kind, time=time):
                for expression in (r'IPv4\. UDP listener opened on: 127\.0\.0\.1:\d+', r'IPv4\. TCP listener opened on ?: 127\.0\.0\.1:\d+'):
                    self.find(server, time, expression)
            server.kill()


if __name__ == '__main__':
    testing.main()
