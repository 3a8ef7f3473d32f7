#!/usr/bin/python3
"""Bad input to turnd: each gets a clear line that names it, and the exit code that turnd(8) documents."""

import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import processes, servers, testing  # noqa: E402

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_STARTUP = 3

NOBODY = 65534


class BadInput(testing.TestCase):
    """One faulty start each."""

    def turnd(self, *arguments, prefix=()):
        """Runs turnd to its end; nothing here may start to serve."""
        return processes.run([servers.turnd_path(), *arguments], timeout=20, cwd=self.directory, prefix=prefix)

    def refused(self, *arguments, says, code=EXIT_USAGE, prefix=()):
        """Asserts the exit code and that the only line on standard error has what `says` lists."""
        run = self.turnd(*arguments, prefix=prefix)
        lines = run.lines('err') if code == EXIT_USAGE else [line for line in run.lines() if ' ERROR ' in line]
        self.assertEqual(run.returncode, code, run.output())
        self.assertEqual(len(lines), 1, f'one clear line expected:\n{run.output()}')
        for text in says:
            self.assertIn(text, lines[0])
        return lines[0]

    def configuration(self, text, name='turnd.conf'):
        return self.write(name, text)

    @testing.case()
    def test_unknown_long_option(self):
        self.refused('--no-such-option=1', says=['--no-such-option', 'unknown option', '--help'])

    @testing.case()
    def test_unknown_long_option_suggests_the_nearest(self):
        self.refused('--listening-prot=1', says=['--listening-prot', 'listening-port'])

    @testing.case()
    def test_unknown_short_option(self):
        self.refused('-Y', says=['-Y', 'unknown option'])

    @testing.case()
    def test_option_without_its_value(self):
        self.refused('--listening-port', says=['--listening-port', 'needs a value'])

    @testing.case()
    def test_bad_value_on_the_command_line(self):
        self.refused('-n', '--listening-port=99999', says=['--listening-port=99999', '0 to 65535'])

    @testing.case()
    def test_bad_value_in_the_file_is_named_by_file_and_line(self):
        path = self.configuration('# a comment\n\nrealm=test.example\nlistening-port=high\nuser=a:b\n')
        self.refused('-c', path, says=[f'{path}:4:', 'listening-port=high', '0 to 65535'])

    @testing.case()
    def test_every_fault_of_a_file_is_reported_at_once(self):
        path = self.configuration('realm=test.example\nuser=a\nmin-port=none\ndenied-peer-ip=10.0.0.0/33\n')
        run = self.turnd('-c', path)
        self.assertEqual(run.returncode, EXIT_USAGE, run.output())
        for line in ('2: user', '3: min-port', '4: denied-peer-ip'):
            self.assertTrue(any(f'{path}:{line}' in text for text in run.lines('err')), f'{line}\n{run.output()}')
        self.assertEqual(len(run.lines('err')), 3, run.output())

    @testing.case()
    def test_broken_configuration_line(self):
        path = self.configuration('realm=test.example\nstatic-auth-secret=s\n' + 'x' * 5000 + '\n')
        self.refused('-c', path, says=[f'{path}:3:', 'bytes long'])

    @testing.case()
    def test_binary_file(self):
        path = self.path('binary.conf')
        with open(path, 'wb') as file:
            file.write(b'realm=a\n\x7fELF\x00\x01\x02\n')
        self.refused('-c', path, says=[f'{path}:2:', 'not a text file'])

    @testing.case()
    def test_missing_file(self):
        path = self.path('missing.conf')
        self.refused('-c', path, says=[path, 'no such file'])

    @testing.case()
    def test_directory_instead_of_a_file(self):
        self.refused('-c', self.directory, says=[self.directory, 'directory'])

    @testing.case()
    def test_unreadable_file(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to become a user who may not read the file')
        path = self.configuration('realm=a\n')
        os.chmod(self.directory, 0o755)
        os.chmod(path, 0)
        self.refused('-c', path, says=[path, 'Permission denied'],
                     prefix=['setpriv', '--reuid', str(NOBODY), '--regid', str(NOBODY), '--clear-groups'])

    @testing.case()
    def test_bad_peer_range(self):
        for value in ('10.0.0.0/33', '10.0.0.9-10.0.0.1', '10.0.0', '10.0.0.1:70000', 'fe80::/129', '1.2.3.4 # rack 5'):
            with self.subTest(value):
                path = self.configuration(f'realm=a\nuser=a:b\ndenied-peer-ip={value}\n')
                self.refused('-c', path, says=[f'{path}:3: denied-peer-ip={value}', 'expected'])

    @testing.case()
    def test_bad_user_key(self):
        for value in ('alice:0x1234', 'alice:0xzz5e9f3d0f8a4b6c9d1e2f3a4b5c6d7e'):
            with self.subTest(value):
                path = self.configuration(f'realm=a\nuser={value}\n')
                line = self.refused('-c', path, says=[f'{path}:2: user', 'alice', 'hex digits'])
                self.assertNotIn(value.split(':')[1], line, 'a key must not be shown')

    @testing.case()
    def test_user_without_a_password(self):
        path = self.configuration('realm=a\nuser=alice\n')
        self.refused('-c', path, says=[f'{path}:2: user', 'NAME:PASSWORD'])

    @testing.case()
    def test_contradicting_options(self):
        self.refused('-n', '--no-auth', '--lt-cred-mech', says=['no-auth', 'lt-cred-mech'])
        self.refused('-n', '--user=a:b', '--realm=r', '--bps-capacity=1000', says=['bps-capacity', 'max-bps'])
        self.refused('-n', '--user=a:b', '--realm=r', '--min-port=60000', '--max-port=50000',
                     says=['max-port', '60000', '50000'])

    @testing.case()
    def test_option_that_would_be_unsafe_to_ignore(self):
        path = self.configuration('realm=a\nuserdb=/var/lib/turn/turndb\n')
        self.refused('-c', path, says=[f'{path}:2: userdb', 'database'])

    @testing.case()
    def test_unknown_user_to_run_as(self):
        self.refused('-n', '--user=a:b', '--realm=r', '--proc-user=nosuchuser', says=['--proc-user=nosuchuser'])

    @testing.case()
    def test_busy_port(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(('127.0.0.1', 0))
            port = other.getsockname()[1]
            self.refused('-n', '--user=a:b', '--realm=r', '--listening-ip=127.0.0.1', f'--listening-port={port}',
                         '--pidfile=', says=[f'127.0.0.1:{port}', 'in use'], code=EXIT_STARTUP)

    @testing.case()
    def test_port_of_another_turnd(self):
        first = self.started(servers.Turnd())
        self.refused('-n', '--user=a:b', '--realm=r', '--listening-ip=127.0.0.1', '--pidfile=',
                     f'--listening-port={first.address[1]}', says=[f'127.0.0.1:{first.address[1]}', 'in use'],
                     code=EXIT_STARTUP)

    @testing.case()
    def test_address_of_another_host(self):
        self.refused('-n', '--user=a:b', '--realm=r', '--listening-ip=203.0.113.77', '--pidfile=',
                     says=['203.0.113.77'], code=EXIT_STARTUP)

    @testing.case()
    def test_relay_address_of_another_host(self):
        self.refused('-n', '--user=a:b', '--realm=r', '--listening-ip=127.0.0.1', '--listening-port=0', '--pidfile=',
                     '--relay-ip=203.0.113.77', says=['203.0.113.77'], code=EXIT_STARTUP)

    @testing.case()
    def test_log_file_that_cannot_be_opened(self):
        path = self.path('no/such/directory/turnd.log')
        self.refused('-n', '--user=a:b', '--realm=r', '--listening-ip=127.0.0.1', '--listening-port=0',
                     f'--log-file={path}', says=[path], code=EXIT_STARTUP)

    @testing.case()
    def test_privileged_port_without_privilege(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to become a user without privileges')
        with open('/proc/sys/net/ipv4/ip_unprivileged_port_start', encoding='ascii') as limit:
            if int(limit.read()) <= 478:
                self.skipTest('this system lets everybody open low ports')
        self.refused('-n', '--user=a:b', '--realm=r', '--listening-ip=127.0.0.1', '--listening-port=478', '--pidfile=',
                     says=['127.0.0.1:478', 'denied'], code=EXIT_STARTUP,
                     prefix=['setpriv', '--reuid', str(NOBODY), '--regid', str(NOBODY), '--clear-groups'])


class Answers(testing.TestCase):
    """What turnd prints and leaves."""

    @testing.case()
    def test_version(self):
        run = processes.run([servers.turnd_path(), '--version'], timeout=20)
        self.assertEqual(run.returncode, EXIT_OK)
        self.assertRegex(run.output('out'), r'^\d+\.\d+\.\d+$')

    @testing.case()
    def test_help_names_every_live_option(self):
        run = processes.run([servers.turnd_path(), '--help'], timeout=20)
        self.assertEqual(run.returncode, EXIT_OK)
        for option in ('listening-port', 'static-auth-secret', 'external-ip', 'only-peer-ip', 'check-config'):
            self.assertRegex(run.output('out'), rf'--{option}\b')

    @testing.case()
    def test_check_config_opens_nothing_and_writes_nothing(self):
        path = self.write('turnd.conf', 'realm=a\nuser=a:b\npidfile=' + self.path('pid') + '\n')
        run = processes.run([servers.turnd_path(), '-c', path, '--check-config'], timeout=20)
        self.assertEqual(run.returncode, EXIT_OK, run.output())
        self.assertIn(f'{path}: the configuration is valid', run.output('out'))
        self.assertEqual(os.listdir(self.directory), ['turnd.conf'])

    @testing.case()
    def test_check_config_of_the_embedded_default_generates_no_secret(self):
        state = self.path('state')
        run = processes.run([servers.turnd_path(), '-n', f'--state-dir={state}', '--check-config'], timeout=20)
        self.assertEqual(run.returncode, EXIT_OK, run.output())
        self.assertFalse(os.path.exists(state))

    @testing.case()
    def test_unknown_key_in_the_file_is_a_warning(self):
        path = self.write('turnd.conf', 'realm=a\nuser=a:b\nlisening-ip=127.0.0.1\n')
        turnd = self.started(servers.Turnd(common=('-c', path, '--pidfile='), credentials=()))
        warnings = [line for line in turnd.lines() if ' WARNING ' in line]
        self.assertEqual(len(warnings), 1, turnd.output())
        for text in (f'{path}:3', 'lisening-ip', 'listening-ip'):
            self.assertIn(text, warnings[0])
        self.assertEqual(turnd.stop(), EXIT_OK)

    @testing.case()
    def test_loads_the_configuration_that_debian_ships_for_coturn(self):
        for path in ('/etc/turnserver.conf', '/usr/share/doc/coturn/examples/etc/turnserver.conf'):
            if not os.path.exists(path):
                continue  # Debian's minimal images leave out /usr/share/doc
            with self.subTest(path):
                turnd = self.started(servers.Turnd(common=('-c', path, '--pidfile='), credentials=()))
                self.assertEqual([line for line in turnd.lines() if ' ERROR ' in line], [], turnd.output())
                self.assertEqual(turnd.lines('err'), [], turnd.output())
                self.assertEqual(turnd.stop(), EXIT_OK)

    @testing.case()
    def test_loads_coturns_example_with_every_line_on(self):
        """Every option that coturn's example comments out: known to turnd, or refused for a reason; none unknown."""
        text = self.read('/etc/turnserver.conf')
        keys = sorted(set(re.findall(r'^#([a-zA-Z0-9-]+)(?:=\S*)?$', text, re.MULTILINE)))
        self.assertGreater(len(keys), 60, keys)
        lines = ''.join(f'{key}=1\n' for key in keys)
        path = self.write('all.conf', lines)
        run = processes.run([servers.turnd_path(), '-c', path, '--check-config'], timeout=20)
        unknown = [line for line in run.lines() if 'unknown key' in line]
        self.assertEqual(unknown, [], run.output())

    @testing.case()
    def test_secrets_do_not_show_in_the_process_list(self):
        turnd = self.started(servers.Turnd(f'--user={servers.USER}:{servers.PASSWORD}',
                                           f'--static-auth-secret={servers.SECRET}XYZZY', '-u', 'bob:XYZZY2'))
        shown = subprocess.run(['ps', '-o', 'args=', '-p', str(turnd.pid)], capture_output=True, text=True,
                               check=True).stdout
        with open(f'/proc/{turnd.pid}/cmdline', 'rb') as file:
            shown += file.read().decode()
        self.assertIn('--static-auth-secret', shown)
        for secret in ('XYZZY', 'XYZZY2', servers.PASSWORD):
            self.assertNotIn(secret, shown)
        self.assertNotIn('XYZZY', turnd.output())


if __name__ == '__main__':
    testing.main()
