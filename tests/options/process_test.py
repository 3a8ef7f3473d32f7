#!/usr/bin/python3
"""The process: user, files, threads; and what only the command line has."""

import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import options, processes, servers, testing, turn  # noqa: E402

NOBODY = 65534


class Process(options.OptionCase):
    """The section Process of turnd.conf(5), and the command line."""

    @testing.case()
    def test_daemon_and_pidfile(self):
        for kind in options.kinds():
            with self.subTest(kind):
                port, pid_file = servers.free_ports(4), self.path(f'{kind}.pid')
                path = self.write('daemon.conf', '\n'.join([*options.BASE, *options.LISTENING, 'no-tls', 'no-dtls', 'daemon',
                                                            f'listening-port={port}', f'pidfile={pid_file}', '']))
                program = [servers.turnd_path()] if kind == 'turnd' else ['turnserver', f'--userdb={self.directory}/turndb']
                run = processes.run([*program, '-c', path], timeout=20)
                self.assertEqual(run.returncode, 0, run.output())
                pid = int(processes.until(lambda: os.path.exists(pid_file) and self.read(pid_file).strip(), 'the pid file'))
                self.addCleanup(self.end, pid)
                client = turn.Client(('127.0.0.1', port), servers.USER, servers.PASSWORD)
                self.addCleanup(client.socket.close)
                client.allocate()
                os.kill(pid, signal.SIGTERM)
                processes.until(lambda: not os.path.exists(f'/proc/{pid}') or self.ended(pid), 'the end of the process')

    @staticmethod
    def ended(pid):
        try:
            with open(f'/proc/{pid}/stat', encoding='ascii') as stat:
                return stat.read().rsplit(')', 1)[1].split()[0] == 'Z'
        except FileNotFoundError:
            return True

    @staticmethod
    def end(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    @testing.case()
    def test_proc_user_and_proc_group(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to have privileges to drop')
        os.chmod(self.directory, 0o755)

        def question(server):
            self.client(server).allocate()
            # coturn becomes somebody else a little after it answers.
            return processes.until(lambda: server.status('Uid').split()[1] != '0' and
                                   (server.status('Uid').split()[1], server.status('Gid').split()[1]), 'another user')

        self.same(question, 'proc-user=nobody', 'proc-group=nogroup', expected=(str(NOBODY), str(NOBODY)))

    @testing.case()
    def test_relay_threads(self):
        def sockets(server):
            """A UDP socket for each thread on the same port."""
            run = processes.run(['ss', '-Hulnp', f'sport = :{server.port}'], timeout=10)
            return len([line for line in run.lines('out') if f'pid={server.pid},' in line])

        for lines, wanted in ((('relay-threads=1',), 1), (('relay-threads=3',), 3), (('relay-threads=0',), 1)):
            with self.subTest(lines):
                server = self.turnd(*lines)
                self.assertEqual(sockets(server), wanted)
                server.wait_for(f'Total relay threads: {wanted}')

    @testing.case()
    def test_cpus(self):
        base = tuple(line for line in options.BASE if not line.startswith('relay-threads')) + options.LISTENING
        self.turnd('cpus=3', base=base).wait_for('Total relay threads: 3')
        self.turnd('cpus=3', 'relay-threads=2', base=base).wait_for('Total relay threads: 2')

    def draining(self, *lines, sessions=2):
        """A server with sessions that has been told to drain, its clients and a newcomer's code."""
        server = self.turnd(*lines)
        clients = [self.client(server) for _ in range(sessions)]
        for client in clients:
            client.allocate()
        server.send_signal(signal.SIGUSR1)
        server.wait_for('(?i)drain')
        return server, clients, processes.until(lambda: self.code(self.client(server).allocate), 'a refusal')

    @testing.case()
    def test_drain_min_allocations(self):
        server, clients, code = self.draining('drain-min-allocations=1')
        self.assertEqual(code, 403)
        time.sleep(0.5)
        self.assertIsNone(server.returncode)
        clients[0].delete()
        self.assertEqual(server.wait(), 0, server.output())

    @testing.case()
    def test_drain_timeout(self):
        server, clients, _ = self.draining('drain-timeout=2')
        self.assertTrue(self.relays(clients[0]))
        self.assertEqual(server.wait(10), 0, server.output())

    # Command line only.

    def run_turnd(self, *arguments, **options_):
        if 'turnd' not in options.kinds():
            self.skipTest('about turnd only')
        return processes.run([servers.turnd_path(), *arguments], timeout=20, cwd=self.directory, **options_)

    @testing.case()
    def test_help_and_version(self):
        for letter in ('--help', '-h'):
            run = self.run_turnd(letter)
            self.assertEqual(run.returncode, 0)
            self.assertIn('--listening-port', run.output('out'))
        run = self.run_turnd('--version')
        self.assertEqual(run.returncode, 0)
        self.assertRegex(run.output('out'), r'\b\d+\.\d+\.\d+')

    @testing.case()
    def test_config_and_no_config(self):
        self.write('turnd.conf', 'realm=found.example\nuser=a:b\nlistening-ip=127.0.0.1\n')
        other = self.write('other.conf', 'realm=named.example\nuser=a:b\nlistening-ip=127.0.0.1\n')
        for arguments, wanted in (((), 'turnd.conf'), (('-c', other), 'other.conf'), ((f'--config={other}',), 'other.conf')):
            run = self.run_turnd('--check-config', *arguments)
            self.assertIn(wanted, run.output(), run.output())
        run = self.run_turnd('--check-config', '-n', '--realm=r', '--user=a:b')
        self.assertNotIn('turnd.conf', run.output())

    @testing.case()
    def test_check_config(self):
        path = self.write('bad.conf', 'realm=r\nuser=a:b\nmin-port=abc\nno-such-key=1\ndenied-peer-ip=1.2.3.4 # why\n')
        run = self.run_turnd('-c', path, '--check-config')
        self.assertNotEqual(run.returncode, 0)
        for line, what in ((3, 'min-port'), (4, 'no-such-key'), (5, 'denied-peer-ip')):
            self.assertRegex(run.output(), rf'{line}\b.*{what}', run.output())

    @testing.case()
    def test_json(self):
        path = self.write('good.conf', 'realm=r\nuser=a:b\nlistening-port=4000\nno-such-key=1\n')
        run = self.run_turnd('-c', path, '--check-config', '--json')
        document = json.loads(run.output('out'))
        self.assertIn('no-such-key', json.dumps(document))
        self.assertNotIn('"b"', json.dumps(document), 'passwords are not shown')

    @testing.case()
    def test_state_dir(self):
        if 'turnd' not in options.kinds():
            self.skipTest('about turnd only')
        state = self.path('state')
        server = self.started(servers.Turnd('-n', f'--state-dir={state}', common=(), credentials=()))
        self.assertEqual(os.listdir(state), ['turnd.conf'])
        secret = re.search(r'static-auth-secret=(\S+)', self.read(f'{state}/turnd.conf'))[1]
        self.assertEqual(self.code(self.client(server.address, user=turn.rest_credentials(secret)[0],
                                               password=turn.rest_credentials(secret)[1]).allocate), 0)


if __name__ == '__main__':
    testing.main()
