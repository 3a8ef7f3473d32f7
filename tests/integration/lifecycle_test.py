#!/usr/bin/python3
"""turnd's life as a process: the embedded default, its secret, logs, signals, pid file, privileges."""

import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import processes, servers, testing, turn  # noqa: E402

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_STARTUP = 3
NOBODY = 65534
LOOPBACK = ('--listening-ip=127.0.0.1', '--listening-port=0')


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class EmbeddedDefault(testing.TestCase):
    """Started without a configuration file: a generated secret in the state directory."""

    def setUp(self):
        super().setUp()
        self.state = self.path('state')
        self.file = os.path.join(self.state, 'turnd.conf')

    def start(self, *options, **process):
        return self.started(servers.Turnd('--no-config', f'--state-dir={self.state}', *options, common=(), credentials=(),
                                          **process))

    def secret(self):
        return re.search(r'^static-auth-secret=(\S+)$', self.read(self.file), re.MULTILINE)[1]

    @testing.case()
    def test_generates_a_secret_for_its_owner_only(self):
        turnd = self.start()
        self.assertEqual((mode(self.state), mode(self.file)), (0o700, 0o600))
        self.assertGreaterEqual(len(self.secret()), 32)
        self.assertEqual(os.listdir(self.state), ['turnd.conf'])
        self.assertEqual(turnd.stop(), EXIT_OK)

    @testing.case()
    def test_the_secret_is_kept_over_restarts_and_serves_clients(self):
        first = self.start()
        secret = self.secret()
        self.assertEqual(first.stop(), EXIT_OK)
        second = self.start('--allow-loopback-peers')
        self.assertEqual(self.secret(), secret)
        with turn.Client(second.address, *turn.rest_credentials(secret, 'bob')) as client:
            client.allocate()
            client.delete()

    @testing.case()
    def test_two_servers_have_different_secrets(self):
        self.start()
        one = self.secret()
        self.state = self.path('other')
        self.file = os.path.join(self.state, 'turnd.conf')
        self.start()
        self.assertNotEqual(self.secret(), one)

    @testing.case()
    def test_the_secret_shows_nowhere(self):
        log = self.path('turnd.log')
        turnd = self.start('-V', f'--log-file={log}')
        secret = self.secret()
        with turn.Client(turnd.address, *turn.rest_credentials(secret, 'bob')) as client:
            client.allocate()
        self.assertEqual(turnd.stop(), EXIT_OK)
        self.assertNotIn(secret, turnd.output(), 'standard output is no terminal here')
        self.assertNotIn(secret, self.read(log))

    @testing.case()
    def test_the_secret_is_in_no_command_line(self):
        turnd = self.start()
        with open(f'/proc/{turnd.pid}/cmdline', 'rb') as file:
            self.assertNotIn(self.secret().encode(), file.read())

    @testing.case()
    def test_a_terminal_is_told_how_to_use_it(self):
        main, terminal = pty.openpty()
        self.addCleanup(os.close, main)
        process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', servers.turnd_path(), '-n', f'--state-dir={self.state}', *LOOPBACK],
            stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        text = self.read_terminal(main, 'Total auth threads')
        port = re.search(r'UDP listener opened on: 127\.0\.0\.1:(\d+)', text)[1]
        for shown in (self.secret(), self.file, f'turn:127.0.0.1:{port}?transport=udp'):
            self.assertIn(shown, text)
        user, password = re.search(r'"username":"(\S+?)","credential":"(\S+?)"', text).groups()
        with turn.Client(('127.0.0.1', int(port)), user, password) as client:
            client.allocate()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(processes.STOP_TIMEOUT), EXIT_OK)

    @staticmethod
    def read_terminal(descriptor, until):
        text = ''
        while until not in text:
            try:
                text += os.read(descriptor, 4096).decode()
            except OSError:
                raise AssertionError(f'turnd ended; it printed:\n{text}') from None
        return text

    @testing.case()
    def test_private_peers_are_denied(self):
        self.start().stop()
        turnd = self.start('--allow-loopback-peers')
        with turn.Client(turnd.address, *turn.rest_credentials(self.secret(), 'bob')) as client:
            client.allocate()
            for ip in ('10.0.0.1', '192.168.1.1', '172.16.0.1', '100.64.0.1'):
                with self.assertRaises(turn.Refused, msg=ip) as refused:
                    client.permit(ip)
                self.assertEqual(refused.exception.code, 403)
            client.permit('198.51.100.1')

    @testing.case()
    def test_an_option_beside_it_counts(self):
        turnd = self.start('--realm=mine.example')
        with turn.Client(turnd.address, *turn.rest_credentials(self.secret(), 'bob')) as client:
            client.allocate()
            self.assertEqual(client.realm, 'mine.example')

    @testing.case()
    def test_a_file_that_others_may_read_is_refused(self):
        self.assertEqual(self.start().stop(), EXIT_OK)
        os.chmod(self.file, 0o644)
        run = processes.run([servers.turnd_path(), '-n', f'--state-dir={self.state}', *LOOPBACK], timeout=20)
        self.assertEqual(run.returncode, EXIT_USAGE, run.output())
        self.assertEqual(len(run.lines('err')), 1)
        self.assertIn(self.file, run.output('err'))
        self.assertIn('chmod 600', run.output('err'))

    @testing.case()
    def test_a_state_directory_that_cannot_be_made_is_named(self):
        blocked = self.write('blocked', 'a file, not a directory\n')
        run = processes.run([servers.turnd_path(), '-n', f'--state-dir={blocked}/state', *LOOPBACK], timeout=20)
        self.assertEqual(run.returncode, EXIT_USAGE, run.output())
        self.assertIn(f'{blocked}/state', run.output('err'))

    @testing.case()
    def test_starts_at_the_same_time_agree_on_one_secret(self):
        started = [servers.Turnd('-n', f'--state-dir={self.state}', common=(), credentials=(), wait=False)
                   for _ in range(6)]
        for turnd in started:
            self.started(turnd)
        for turnd in started:
            turnd.wait_until_started()
            with turn.Client(turnd.address, *turn.rest_credentials(self.secret(), 'bob')) as client:
                client.allocate()
        self.assertEqual(os.listdir(self.state), ['turnd.conf'])

    @testing.case()
    def test_unprivileged_users_keep_it_at_home(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to become another user')
        home = self.path('home')
        os.chmod(self.directory, 0o755)
        os.mkdir(home)
        os.chown(home, NOBODY, NOBODY)
        environment = {key: value for key, value in os.environ.items()
                       if key not in ('STATE_DIRECTORY', 'XDG_STATE_HOME')}
        turnd = self.started(servers.Turnd(
            '-n', common=(), credentials=(), env={**environment, 'HOME': home},
            prefix=['setpriv', '--reuid', str(NOBODY), '--regid', str(NOBODY), '--clear-groups']))
        self.assertEqual(mode(f'{home}/.local/state/turnd/turnd.conf'), 0o600)
        self.assertEqual(turnd.stop(), EXIT_OK)


class Signals(testing.TestCase):
    """TERM, INT, HUP and the rest."""

    @testing.case()
    def test_term_leaves_cleanly(self):
        pid_file = self.path('turnd.pid')
        turnd = self.started(servers.Turnd(f'--pidfile={pid_file}', '--verbose'))
        self.assertEqual(int(self.read(pid_file)), turnd.pid)
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as client:
            client.allocate()
            began = time.monotonic()
            self.assertEqual(turnd.stop(), EXIT_OK, turnd.output())
            self.assertLess(time.monotonic() - began, 5)
        self.assertFalse(os.path.exists(pid_file))
        self.assertRegex(turnd.output(), r'shutting down: 1 allocations end')
        self.assertRegex(turnd.output(), r'closed \(2nd stage\).*reason: server is shutting down')

    @testing.case()
    def test_int_leaves_cleanly(self):
        turnd = self.started(servers.Turnd())
        turnd.send_signal(signal.SIGINT)
        self.assertEqual(turnd.wait(), EXIT_OK, turnd.output())

    @testing.case()
    def test_term_at_any_moment_of_the_start(self):
        """Never the signal's own exit, once the listeners are open; a pid file never stays."""
        for attempt in range(10):
            pid_file = self.path(f'{attempt}.pid')
            turnd = self.started(servers.Turnd(f'--pidfile={pid_file}', wait=False))
            turnd.wait_for('pid file created')
            self.assertEqual(turnd.stop(), EXIT_OK, turnd.output())
            self.assertFalse(os.path.exists(pid_file))

    @testing.case()
    def test_hup_reopens_the_log(self):
        log, old = self.path('turnd.log'), self.path('turnd.log.1')
        turnd = self.started(servers.Turnd(f'--log-file={log}'))
        os.rename(log, old)
        turnd.send_signal(signal.SIGHUP)
        processes.until(lambda: os.path.exists(log), 'a new log file')
        self.assertEqual(turnd.stop(), EXIT_OK)
        self.assertIn('shutting down', self.read(log))
        self.assertNotIn('shutting down', self.read(old))

    @testing.case()
    def test_other_signals_leave_it_serving(self):
        turnd = self.started(servers.Turnd())
        for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGPIPE):
            turnd.send_signal(number)
        turnd.wait_for('SIGUSR2')
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as client:
            client.allocate()
        self.assertEqual(turnd.stop(), EXIT_OK)

    @testing.case()
    def test_it_outlives_the_reader_of_its_output(self):
        read_end, write_end = os.pipe()
        log = self.path('turnd.log')
        process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', servers.turnd_path(), *servers.Turnd.COMMON, *servers.Turnd.CREDENTIALS,
             *LOOPBACK, '--verbose', f'--log-file={log}'], stdin=subprocess.DEVNULL, stdout=write_end)
        os.close(write_end)
        os.close(read_end)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        processes.until(lambda: os.path.exists(log) and 'Total auth threads' in self.read(log), 'the start-up lines')
        port = re.search(r'opened on: 127\.0\.0\.1:(\d+)', self.read(log))[1]
        with turn.Client(('127.0.0.1', int(port)), servers.USER, servers.PASSWORD) as client:
            client.allocate()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(processes.STOP_TIMEOUT), EXIT_OK)
        self.assertIn('shutting down', self.read(log))

    @testing.case()
    def test_restart_on_the_same_port(self):
        turnd = self.started(servers.Turnd())
        ip, port = turnd.address
        self.assertEqual(turnd.stop(), EXIT_OK)
        again = self.started(servers.Turnd(listener=(f'--listening-ip={ip}', f'--listening-port={port}')))
        self.assertEqual(again.address, (ip, port))


class Process(testing.TestCase):
    """Privileges, background, descriptors."""

    @testing.case()
    def test_proc_user_drops_privileges(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to have privileges to drop')
        turnd = self.started(servers.Turnd('--proc-user=nobody', '--proc-group=nogroup'))
        for key in ('Uid', 'Gid'):
            self.assertEqual(set(turnd.status(key).split()), {str(NOBODY)}, key)
        self.assertEqual(turnd.status('Groups'), '')
        self.assertEqual(int(turnd.status('CapEff'), 16), 0)
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as client:
            client.allocate()  # opens a port after the drop
        self.assertEqual(turnd.stop(), EXIT_OK)

    @testing.case()
    def test_proc_user_takes_the_users_own_group(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to have privileges to drop')
        turnd = self.started(servers.Turnd('--proc-user=nobody'))
        self.assertEqual(set(turnd.status('Gid').split()), {str(NOBODY)})

    @testing.case()
    def test_proc_user_without_privilege_is_refused(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to become a user without privileges')
        run = processes.run(
            [servers.turnd_path(), '-n', '--realm=r', '--user=a:b', '--pidfile=', '--proc-user=daemon', *LOOPBACK],
            timeout=20, prefix=['setpriv', '--reuid', str(NOBODY), '--regid', str(NOBODY), '--clear-groups'])
        self.assertEqual(run.returncode, EXIT_STARTUP, run.output())
        self.assertRegex(run.output(), 'ERROR proc-user daemon: .*not permitted')

    @testing.case()
    def test_daemon_goes_on_in_the_background(self):
        pid_file, log = self.path('turnd.pid'), self.path('turnd.log')
        run = processes.run([servers.turnd_path(), '-n', '--daemon', '--realm=r', '--user=a:b', *LOOPBACK,
                             f'--pidfile={pid_file}', f'--log-file={log}'], timeout=20)
        pid = processes.until(lambda: os.path.exists(pid_file) and self.read(pid_file).strip(), 'the pid file')
        self.addCleanup(self.end, int(pid))
        self.assertEqual(run.returncode, EXIT_OK, run.output())
        processes.until(lambda: 'Total auth threads' in self.read(log), 'the start-up lines in the log')
        port = re.search(r'opened on: 127\.0\.0\.1:(\d+)', self.read(log))[1]
        with turn.Client(('127.0.0.1', int(port)), 'a', 'b') as client:
            client.allocate()
        os.kill(int(pid), signal.SIGTERM)
        processes.until(lambda: not os.path.exists(pid_file), 'the pid file to be removed')

    @staticmethod
    def end(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    @testing.case()
    def test_pid_file_of_a_link_is_not_followed(self):
        target = self.write('precious', 'keep me\n')
        link = self.path(f'turnkit-test-{os.getpid()}.pid')
        os.symlink(target, link)
        turnd = self.started(servers.Turnd(f'--pidfile={link}'))
        self.assertEqual(self.read(target), 'keep me\n')
        self.assertEqual(turnd.stop(), EXIT_OK)
        self.assertTrue(os.path.islink(link))

    @testing.case()
    def test_descriptors_are_given_back(self):
        turnd = self.started(servers.Turnd())
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as client:
            client.allocate()
            client.delete()
            before = turnd.descriptors()
            for _ in range(20):
                client.allocate()
                client.delete()
            self.assertEqual(turnd.descriptors(), before)


class Logs(testing.TestCase):
    """Lines that scripts for coturn wait for, and where they go."""

    @testing.case()
    def test_start_up_lines(self):
        turnd = self.started(servers.Turnd(
            '--relay-threads=3', '--relay-ip=127.0.0.1',
            listener=('--listening-ip=127.0.0.1', '--listening-ip=::1', '--listening-port=0')))
        for pattern in (r'Listener address to use: 127\.0\.0\.1', r'Listener address to use: ::1',
                        r'Relay address to use: 127\.0\.0\.1', r'IPv4\. UDP listener opened on: 127\.0\.0\.1:\d+$',
                        r'IPv6\. UDP listener opened on: \[?::1\]?:\d+$', r'Total relay threads: 3$',
                        r'Total auth threads: \d+$'):
            self.assertRegex(turnd.output(), re.compile(pattern, re.MULTILINE))
        for line in turnd.lines():
            self.assertRegex(line, r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (DEBUG|INFO|WARNING|ERROR) ')

    @testing.case()
    def test_session_lines_are_those_of_coturn(self):
        turnd = self.started(servers.Turnd('--verbose'))
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as client, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(('127.0.0.1', 0))
            client.allocate(lifetime=700)
            client.bind(0x4000, peer.getsockname())
            client.send_channel(0x4000, b'12345')
            peer.recv(100)
            client.refresh(800)
            client.delete()
        turnd.wait_for('closed')
        session = r'session \d{18}: '
        for pattern in (
                session + rf'new, realm=<{servers.REALM}>, username=<{servers.USER}>, lifetime=700$',
                session + rf'realm <{servers.REALM}> user <{servers.USER}>: incoming packet ALLOCATE processed, success$',
                session + rf'realm <{servers.REALM}> user <{servers.USER}>: incoming packet CHANNEL_BIND processed, success$',
                session + r'peer 127\.0\.0\.1 lifetime updated: 300$',
                session + rf'refreshed, realm=<{servers.REALM}>, username=<{servers.USER}>, lifetime=800$',
                session + rf'usage: realm=<{servers.REALM}>, username=<{servers.USER}>, rp=1, rb=9, sp=0, sb=0$',
                session + rf'peer usage: realm=<{servers.REALM}>, username=<{servers.USER}>, rp=0, rb=0, sp=1, sb=5$',
                session + rf'closed \(2nd stage\), user <{servers.USER}> realm <{servers.REALM}> origin <>, local 127'):
            self.assertRegex(turnd.output(), re.compile(pattern, re.MULTILINE))

    @testing.case()
    def test_file_and_standard_output(self):
        log = self.path('turnd.log')
        both = self.started(servers.Turnd(f'--log-file={log}'))
        processes.until(lambda: 'Total auth threads' in self.read(log), 'the start-up lines in the log')
        self.assertEqual(both.stop(), EXIT_OK)
        self.assertEqual(self.read(log).splitlines(), both.lines())
        self.assertEqual(mode(log) & 0o007, 0, 'others must not read the log')

        only = self.path('only.log')
        turnd = self.started(servers.Turnd(f'--log-file={only}', '--no-stdout-log', wait=False))
        processes.until(lambda: os.path.exists(only) and 'Total auth threads' in self.read(only), 'the log file')
        self.assertEqual(turnd.stop(), EXIT_OK)
        self.assertEqual(turnd.output(), '')

    @testing.case()
    def test_log_level(self):
        log, pid_file = self.path('turnd.log'), self.path('turnd.pid')
        turnd = self.started(servers.Turnd('--log-min-level=warning', f'--log-file={log}', f'--pidfile={pid_file}',
                                           '--stun-only', '--no-stun', wait=False))
        processes.until(lambda: os.path.exists(pid_file), 'the pid file')
        self.assertEqual(turnd.stop(), EXIT_OK)
        self.assertIn(' WARNING ', self.read(log))
        self.assertNotIn(' INFO ', self.read(log))

    @testing.case()
    def test_user_names_cannot_forge_lines(self):
        turnd = self.started(servers.Turnd('--verbose'))
        user, password = turn.rest_credentials(servers.SECRET, 'eve> realm <x\u0085y')
        with turn.Client(turnd.address, user, password) as client:
            try:
                client.allocate()
            except turn.Refused as refused:
                self.assertIn(refused.code, (400, 401))
        self.assertEqual(turnd.stop(), EXIT_OK)
        for line in turnd.output().split('\n'):
            self.assertRegex(line, r'^\d{4}-')


if __name__ == '__main__':
    testing.main()
