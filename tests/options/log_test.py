#!/usr/bin/python3
"""What is logged, where, and in which shape."""

import json
import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import options, processes, servers, testing  # noqa: E402

QUIET = (f'realm={servers.REALM}', f'user={servers.USER}:{servers.PASSWORD}', 'lt-cred-mech', 'no-cli', 'allow-loopback-peers',
         'relay-threads=2', *options.LISTENING)
TO_STDOUT = ('log-file=stdout',)
SESSION_LINE = r'session \d{18}: .*ALLOCATE processed, success'


class Log(options.OptionCase):
    """The section Logging of turnd.conf(5)."""

    def session(self, server):
        """One session from start to end; what the server logged meanwhile."""
        before = server.line_count()
        client, peer = self.client(server), self.peer()
        client.binding()
        client.allocate()
        self.assertTrue(self.relays(client, peer))
        client.delete()
        self.client(server).binding()
        return client, peer, lambda: server.lines()[before:]

    def logged(self, server, pattern, timeout=5):
        _, _, lines = self.session(server)
        return processes.until(lambda: [line for line in lines() if re.search(pattern, line)], f'a line with {pattern}',
                               timeout=timeout)

    def silent(self, server, pattern):
        _, _, lines = self.session(server)
        return not [line for line in lines() if re.search(pattern, line)]

    @testing.case()
    def test_verbose(self):
        self.same(lambda server: bool(self.logged(server, SESSION_LINE)), 'verbose', *TO_STDOUT, base=QUIET, expected=True)
        self.same(lambda server: self.silent(server, SESSION_LINE), *TO_STDOUT, base=QUIET, expected=True)

    @testing.case()
    def test_Verbose(self):  # pylint: disable=invalid-name
        server = self.turnd('Verbose', *TO_STDOUT, base=QUIET)
        self.logged(server, SESSION_LINE)
        self.assertRegex(server.output(), r' DEBUG ')
        self.assertNotRegex(self.turnd('verbose', *TO_STDOUT, base=QUIET).output(), r' DEBUG ')

    @testing.case()
    def test_log_min_level(self):
        server = self.turnd('verbose', 'log-min-level=warning', *TO_STDOUT, base=QUIET, ready='udp-silent')
        self.session(server)
        self.assertEqual([line for line in server.lines() if ' INFO ' in line], [])

    @testing.case()
    def test_log_file_and_no_stdout_log(self):
        path = self.path('turn.log')
        server = self.start_quietly('verbose', f'log-file={path}', 'no-stdout-log', 'simple-log')
        self.session(server)
        processes.until(lambda: re.search(SESSION_LINE, self.read(path)), 'the session in the file')
        self.assertEqual(server.output('out'), '')
        both = self.turnd('verbose', f'log-file={path}.2', base=QUIET)
        self.logged(both, SESSION_LINE)
        self.assertRegex(self.read(f'{path}.2'), SESSION_LINE)

    # Where nothing is said on standard output, the listener is asked instead.
    def start_quietly(self, *lines):
        if 'turnd' not in options.kinds():
            self.skipTest('about turnd only')
        return self.start('turnd', *lines, base=QUIET, ready='udp-silent')

    @testing.case()
    def test_syslog_and_syslog_facility(self):
        """Through a /dev/log of the test's own, in a mount namespace."""
        if os.geteuid() != 0:
            self.skipTest('needs root, to put another /dev/log in place')
        for lines, facility in ((('syslog',), 3), (('syslog', 'syslog-facility=LOG_LOCAL5'), 21),
                                (('log-file=syslog', 'syslog-facility=LOG_AUTH'), 4)):
            with self.subTest(lines):
                log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self.addCleanup(log.close)
                path = self.path(f'log-{facility}')
                log.bind(path)
                os.chmod(path, 0o666)
                seen = []
                threading.Thread(target=self.collect, args=(log, seen), daemon=True).start()
                # A /dev of its own, in which only log differs.
                script = ('mount -t tmpfs none /run && touch /run/log && mount --bind "$0" /run/log && '
                          'mkdir /run/dev && mount --rbind /dev /run/dev && mount -t tmpfs none /dev && '
                          'for f in null urandom random zero; do touch /dev/$f && mount --bind /run/dev/$f /dev/$f; done && '
                          'ln -s /run/log /dev/log && exec "$@"')
                server = self.turnd('verbose', *lines, base=QUIET, prefix=('unshare', '--mount', '--propagation', 'private', 'sh',
                                                                           '-c', script, path), ready='udp-silent')
                self.session(server)
                line = processes.until(lambda: next((line for line in seen if re.search(SESSION_LINE, line)), None), 'the session')
                self.assertEqual(int(re.match(r'<(\d+)>', line)[1]) >> 3, facility, line)
                server.kill()

    @staticmethod
    def collect(log, seen):
        try:
            while True:
                seen.append(log.recv(4096).decode())
        except OSError:
            pass

    @testing.case()
    def test_log_format(self):
        native = r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:?\d\d INFO '
        shapes = {'native': native, 'coturn': native, 'coturn-4.6': r'^\d+: (\(\d+\): INFO: |: )'}
        for name, shape in shapes.items():
            with self.subTest(name):
                lines = self.logged(self.turnd('verbose', f'log-format={name}', *TO_STDOUT, base=QUIET), SESSION_LINE)
                self.assertRegex(lines[0], shape)
        server = self.turnd('verbose', 'log-format=json', *TO_STDOUT, base=QUIET, ready='udp-silent')
        _, _, lines = self.session(server)
        processes.until(lambda: any('ALLOCATE' in line for line in lines()), 'the session')
        for line in server.lines('out'):
            self.assertIsInstance(json.loads(line), dict, line)

    @testing.case()
    def test_new_log_timestamp(self):
        """The seconds since the start, or the date: as coturn up to 4.16."""
        def question(server):
            return bool(re.match(r'\d{4}-\d\d-\d\dT', self.logged(server, SESSION_LINE)[0]))

        self.same(question, 'verbose', 'new-log-timestamp', *TO_STDOUT, base=QUIET, expected=True)
        self.assertTrue(question(self.turnd('verbose', 'log-format=coturn-4.6', 'new-log-timestamp', *TO_STDOUT, base=QUIET)))
        self.assertFalse(question(self.turnd('verbose', 'log-format=coturn-4.6', *TO_STDOUT, base=QUIET)))

    @testing.case()
    def test_new_log_timestamp_format(self):
        def question(server):
            return bool(re.match(r'day \d{3} of 20\d\d', self.logged(server, SESSION_LINE)[0]))

        self.same(question, 'verbose', 'new-log-timestamp', 'new-log-timestamp-format=day %j of %Y', *TO_STDOUT, base=QUIET,
                  expected=True)

    @testing.case()
    def test_log_anonymize(self):
        server = self.turnd('verbose', 'log-anonymize', *TO_STDOUT, base=QUIET)
        client = self.client(server, local=('127.0.0.77', 0))
        client.allocate()
        client.permit('198.51.100.77')
        client.delete()
        server.wait_for('closed')
        session = [line for line in server.lines() if 'session' in line]
        self.assertTrue(any('127.0.0.0' in line for line in session), session)
        self.assertTrue(any('198.51.100.0' in line for line in session), session)
        self.assertEqual([line for line in session if '127.0.0.77' in line or '198.51.100.77' in line], [])

    @testing.case()
    def test_log_binding(self):
        binding = r'(?i)binding'
        self.same(lambda server: bool(self.logged(server, binding)), 'verbose', 'log-binding', *TO_STDOUT, base=QUIET,
                  expected=True)
        self.same(lambda server: self.silent(server, binding), 'verbose', *TO_STDOUT, base=QUIET, expected=True)


if __name__ == '__main__':
    testing.main()
