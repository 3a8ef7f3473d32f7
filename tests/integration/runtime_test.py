#!/usr/bin/python3
"""What turnd does while it serves: reloads, certificates that change, the drain, listeners, the service manager."""

import os
import re
import shutil
import signal
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import certificates, processes, servers, testing, turn  # noqa: E402

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_STARTUP = 3
NOBODY = 65534
RELOADED = 'the configuration is read again and in force'
KEPT = 'the configuration has errors; the one in force stays'


def udp_peer():
    """Outside of the range of relayed ports, whose addresses are peers in any case."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(('127.0.0.1', servers.free_ports(1)))
    peer.settimeout(processes.START_TIMEOUT)
    return peer


def served_certificate(address):
    """The certificate that a new TLS connection gets, DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(address, timeout=10) as plain, context.wrap_socket(plain) as secure:
        return secure.getpeercert(True)


def der(path):
    with open(path, encoding='ascii') as file:
        return ssl.PEM_cert_to_DER_cert(re.search('-----BEGIN.*?END CERTIFICATE-----', file.read(), re.DOTALL)[0])


class Reload(testing.TestCase):
    """SIGHUP: the whole configuration, and no session ends."""

    LINES = ('realm=test.example\nlistening-ip=127.0.0.1\nlistening-port=0\nallow-loopback-peers\nrelay-threads=2\n'
             'pidfile=\nno-tls\nno-dtls\n')

    def start(self, lines, *options, **rest):
        self.file = self.write('turnd.conf', self.LINES + lines)
        return self.started(servers.Turnd(f'--config={self.file}', *options, common=(), credentials=(), listener=(), **rest))

    def reload(self, turnd, lines, expected=RELOADED):
        with open(self.file, 'w', encoding='utf-8') as file:
            file.write(self.LINES + lines)
        self.hang_up(turnd, expected)

    @staticmethod
    def hang_up(turnd, expected=RELOADED):
        before = turnd.line_count()
        turnd.send_signal(signal.SIGHUP)
        turnd.wait_for(expected, start=before)

    def refused(self, turnd, code, user, password):
        with turn.Client(turnd.address, user, password) as client, self.assertRaises(turn.Refused) as refused:
            client.allocate()
        self.assertEqual(refused.exception.code, code)

    @testing.case()
    def test_users_come_and_go_and_sessions_stay(self):
        turnd = self.start('user=old:one\n')
        with turn.Client(turnd.address, 'old', 'one') as client, udp_peer() as peer:
            client.allocate()
            client.bind(0x4000, peer.getsockname())
            self.reload(turnd, 'user=new:two\n')
            client.send_channel(0x4000, b'still there')
            self.assertEqual(peer.recv(100), b'still there')
            client.refresh(600)
            self.refused(turnd, 401, 'old', 'one')
            with turn.Client(turnd.address, 'new', 'two') as other:
                other.allocate()

    @testing.case()
    def test_secrets_and_quotas(self):
        turnd = self.start('static-auth-secret=first\n')
        self.reload(turnd, 'static-auth-secret=second\nuser-quota=1\n')
        self.refused(turnd, 401, *turn.rest_credentials('first', 'a'))
        with turn.Client(turnd.address, *turn.rest_credentials('second', 'a')) as client:
            client.allocate()
            self.refused(turnd, 486, *turn.rest_credentials('second', 'a'))

    @testing.case()
    def test_a_peer_that_is_denied_now_loses_its_permission(self):
        turnd = self.start('user=a:b\n')
        with turn.Client(turnd.address, 'a', 'b') as client, udp_peer() as peer:
            client.allocate()
            client.bind(0x4000, peer.getsockname())
            self.reload(turnd, 'user=a:b\ndenied-peer-ip=127.0.0.1\n')
            with self.assertRaises(turn.Refused) as refused:
                client.bind(0x4000, peer.getsockname())
            self.assertEqual(refused.exception.code, 403)
            client.send_channel(0x4000, b'not any more')
            peer.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                peer.recv(100)

    @testing.case()
    def test_alternate_servers(self):
        turnd = self.start('user=a:b\n')
        self.reload(turnd, 'user=a:b\nalternate-server=192.0.2.7:3478\n')
        with turn.Client(turnd.address, 'a', 'b') as client, self.assertRaises(turn.Refused) as refused:
            client.allocate()
        self.assertEqual(refused.exception.code, 300)

    @testing.case()
    def test_external_addresses(self):
        turnd = self.start('user=a:b\nexternal-ip=192.0.2.5\nrelay-ip=127.0.0.1\n')
        self.reload(turnd, 'user=a:b\nexternal-ip=192.0.2.6/127.0.0.1\nrelay-ip=127.0.0.1\n')
        with turn.Client(turnd.address, 'a', 'b') as client:
            self.assertEqual(client.allocate()[0], '192.0.2.6')

    @testing.case()
    def test_errors_keep_what_is_in_force(self):
        turnd = self.start('user=a:b\n')
        for wrong in ('user=new:two\nmax-port=70000\n', 'user=new:two\nno-such=\nmin-port=x\n', 'user=new:two\nno-auth\nlt-cred-mech\n'):
            before = turnd.line_count()
            self.reload(turnd, wrong, KEPT)
            self.assertRegex('\n'.join(turnd.lines()[before:]), rf'ERROR {re.escape(self.file)}:\d+: ')
            with turn.Client(turnd.address, 'a', 'b') as client:
                client.allocate()
            self.refused(turnd, 401, 'new', 'two')
        os.remove(self.file)
        self.hang_up(turnd, KEPT)
        self.assertIn(self.file, turnd.output())
        with turn.Client(turnd.address, 'a', 'b') as client:
            client.allocate()

    @testing.case()
    def test_what_needs_a_restart_is_named(self):
        turnd = self.start('user=a:b\n')
        before = turnd.line_count()
        self.reload(turnd, 'user=a:c\nmin-port=50000\nmax-port=50999\nlistening-port=4000\nrelay-threads=1\nno-tcp\n')
        said = '\n'.join(turnd.lines()[before:])
        for name in ('min-port', 'max-port', 'listening-port', 'relay-threads', 'no-tcp'):
            self.assertRegex(said, rf'WARNING {name}: needs a restart')
        self.assertEqual(said.count('needs a restart'), 5)
        with turn.Client(turnd.address, 'a', 'c') as client:
            client.allocate()
        before = turnd.line_count()
        self.reload(turnd, 'user=a:c\n')
        self.assertNotIn('needs a restart', '\n'.join(turnd.lines()[before:]))

    @testing.case()
    def test_log_level_shape_and_file(self):
        turnd = self.start('user=a:b\nverbose\n')
        log = self.path('other.log')
        self.reload(turnd, f'user=a:b\nverbose\nlog-file={log}\nlog-format=json\n')
        with turn.Client(turnd.address, 'a', 'b') as client:
            client.allocate()
        processes.until(lambda: os.path.exists(log) and '"event":"new"' in self.read(log), 'JSON in the new log file')
        self.reload(turnd, f'user=a:b\nverbose\nlog-file={self.directory}/none/x.log\n', KEPT)
        self.assertIn('none/x.log', turnd.output())

    @testing.case()
    def test_command_line_secrets_count_again_and_show_nowhere(self):
        turnd = self.start('', '--user=a:hidden-password')
        self.hang_up(turnd)
        with turn.Client(turnd.address, 'a', 'hidden-password') as client:
            client.allocate()
        with open(f'/proc/{turnd.pid}/cmdline', 'rb') as file:
            self.assertNotIn(b'hidden-password', file.read())
        self.assertNotIn('hidden-password', turnd.output())

    @testing.case()
    def test_again_and_again(self):
        turnd = self.start('user=a:b\n')
        with turn.Client(turnd.address, 'a', 'b') as client:
            client.allocate()
            self.hang_up(turnd)
            before = turnd.descriptors()
            for _ in range(20):
                self.hang_up(turnd)
            client.refresh(600)
            self.assertEqual(turnd.descriptors(), before)
        self.assertEqual(turnd.stop(), EXIT_OK)

    @testing.case()
    def test_a_file_for_root_only_is_read_after_privileges_are_gone(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to have privileges to drop')
        turnd = self.start('user=a:b\nproc-user=nobody\n')
        self.assertEqual(set(turnd.status('Uid').split()), {str(NOBODY)})
        self.assertEqual(os.stat(self.file).st_mode & 0o077, 0)
        self.reload(turnd, 'user=c:d\nproc-user=nobody\n')
        with turn.Client(turnd.address, 'c', 'd') as client:
            client.allocate()
        self.assertEqual(turnd.stop(), EXIT_OK)


class Certificates(testing.TestCase):
    """They change on disk, and clients that come then get the new one."""

    def setUp(self):
        super().setUp()
        self.authority = certificates.Authority(self.directory)
        self.cert, self.pkey = self.path('live.pem'), self.path('live.key')
        self.install(self.authority.issue())

    def install(self, certificate):
        """As certbot does: rename over."""
        for source, target in ((certificate.cert, self.cert), (certificate.pkey, self.pkey)):
            shutil.copy(source, target + '.new')
            os.chmod(target + '.new', 0o600)
            os.rename(target + '.new', target)

    def start(self, *options, **rest):
        return self.started(servers.Turnd.with_streams(
            *options, tls=certificates.Certificate(self.cert, self.pkey), **rest))

    def wait_for_certificate(self, turnd, path):
        wanted = der(path)
        processes.until(lambda: served_certificate(turnd.tls_address) == wanted, 'the new certificate', every=0.1)

    @testing.case()
    def test_a_renewed_certificate_is_served_by_itself(self):
        turnd = self.start()
        self.assertEqual(served_certificate(turnd.tls_address), der(self.cert))
        self.assertEqual(served_certificate(turnd.address), der(self.cert), 'the plain port knows TLS, too')
        self.install(self.authority.issue())
        self.wait_for_certificate(turnd, self.cert)
        self.assertEqual(turnd.output().count('INFO certificate '), 2)

    @testing.case()
    def test_a_bad_one_changes_nothing_and_is_named(self):
        turnd = self.start()
        good = der(self.cert)
        for wrong, why in ((self.authority.issue().pkey, 'does not belong'), (None, 'PEM')):
            before = turnd.line_count()
            if wrong:
                shutil.copy(wrong, self.pkey)
            else:
                self.write('live.pem', 'nonsense\n')
            line = turnd.wait_for(r'ERROR .*the certificate in use stays', start=before).string
            self.assertIn(why, line)
            self.assertIn('live.', line)
            self.assertEqual(served_certificate(turnd.tls_address), good)
        self.install(self.authority.issue())
        self.wait_for_certificate(turnd, self.cert)

    @testing.case()
    def test_usr2_and_hup_read_it_again(self):
        turnd = self.start('--certificate-watch=off')
        for number, said in ((signal.SIGUSR2, 'SIGUSR2: the certificate is read again'), (signal.SIGHUP, RELOADED)):
            old = der(self.cert)
            self.install(self.authority.issue())
            self.assertEqual(served_certificate(turnd.tls_address), old)
            before = turnd.line_count()
            turnd.send_signal(number)
            turnd.wait_for(said, start=before)
            self.wait_for_certificate(turnd, self.cert)

    @testing.case()
    def test_hup_with_a_bad_certificate_keeps_everything(self):
        turnd = self.start('--certificate-watch=off')
        self.write('live.pem', 'nonsense\n')
        turnd.send_signal(signal.SIGHUP)
        turnd.wait_for(KEPT)
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as client:
            client.allocate()

    @testing.case()
    def test_a_key_for_root_only_is_read_after_privileges_are_gone(self):
        if os.geteuid() != 0:
            self.skipTest('needs root, to have privileges to drop')
        turnd = self.start('--proc-user=nobody')
        self.assertEqual(set(turnd.status('Uid').split()), {str(NOBODY)})
        self.install(self.authority.issue())
        self.wait_for_certificate(turnd, self.cert)
        self.install(self.authority.issue())
        turnd.send_signal(signal.SIGHUP)
        turnd.wait_for(RELOADED)
        self.wait_for_certificate(turnd, self.cert)
        children = self.read(f'/proc/{turnd.pid}/task/{turnd.pid}/children').split()
        self.assertEqual(len(children), 1)
        self.assertEqual(self.read(f'/proc/{children[0]}/comm').strip(), 'turnd-files')
        turnd.kill()
        processes.until(lambda: not os.path.exists(f'/proc/{children[0]}'), 'the keeper to end with turnd')

    @testing.case()
    def test_no_keeper_without_a_drop(self):
        turnd = self.start()
        self.assertEqual(self.read(f'/proc/{turnd.pid}/task/{turnd.pid}/children').split(), [])

    @testing.case()
    def test_an_ending_certificate_is_announced(self):
        self.install(self.authority.issue(days=3))
        turnd = self.start()
        self.assertRegex(turnd.output(), r'WARNING the certificate .*live\.pem .* ends in [23] days; renew it')

    @testing.case()
    def test_a_missing_file_fails_by_name(self):
        for option in ('cert', 'pkey'):
            names = {'cert': self.cert, 'pkey': self.pkey, option: self.path('none.pem')}
            run = processes.run([servers.turnd_path(), '-n', '--realm=r', '--user=a:b', '--pidfile=',
                                 '--listening-ip=127.0.0.1', '--listening-port=0', '--tls-listening-port=0',
                                 *(f'--{key}={path}' for key, path in names.items())], timeout=20)
            self.assertIn(run.returncode, (EXIT_USAGE, EXIT_STARTUP), run.output())
            self.assertIn('none.pem', run.output())
            self.assertNotIn('listener opened', run.output())

    @testing.case()
    def test_systemd_credentials_are_found_by_name(self):
        folder = self.path('credentials')
        os.mkdir(folder)
        shutil.copy(self.cert, f'{folder}/fullchain.pem')
        shutil.copy(self.pkey, f'{folder}/privkey.pem')
        turnd = self.started(servers.Turnd.with_streams(
            tls=certificates.Certificate('fullchain.pem', 'privkey.pem'),
            env={**os.environ, 'CREDENTIALS_DIRECTORY': folder}))
        self.assertEqual(served_certificate(turnd.tls_address), der(self.cert))


class Drain(testing.TestCase):
    """SIGUSR1: no new allocations, and the end when the old ones are gone."""

    def drain(self, *options):
        turnd = self.started(servers.Turnd('--no-tls', '--no-dtls', *options))
        client = turn.Client(turnd.address, servers.USER, servers.PASSWORD)
        self.addCleanup(client.__exit__, None, None, None)
        client.allocate()
        turnd.send_signal(signal.SIGUSR1)
        turnd.wait_for(r'SIGUSR1: draining for 0 s, 1 allocations left')
        return turnd, client

    @testing.case()
    def test_ends_with_the_last_allocation(self):
        turnd, client = self.drain('--verbose')
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as other:
            with self.assertRaises(turn.Refused) as refused:
                other.allocate()
            self.assertEqual(refused.exception.code, 403)
        client.permit('127.0.0.1')
        client.refresh(600)
        turnd.send_signal(signal.SIGUSR1)
        turnd.wait_for(r'SIGUSR1: draining for \d+ s, 1 allocations left$')
        self.assertIsNone(turnd.returncode)
        client.delete()
        self.assertEqual(turnd.wait(), EXIT_OK, turnd.output())
        self.assertIn('drain completed: 0 allocations left', turnd.output())

    @testing.case()
    def test_an_alternate_server_takes_the_new_ones(self):
        file = self.write('turnd.conf', 'realm=test.example\nlistening-ip=127.0.0.1\nlistening-port=0\npidfile=\n'
                                        'user=a:b\n')
        turnd = self.started(servers.Turnd(f'--config={file}', common=(), credentials=(), listener=()))
        with turn.Client(turnd.address, 'a', 'b') as client:
            client.allocate()
            with open(file, 'a', encoding='utf-8') as more:
                more.write('alternate-server=192.0.2.7:3478\n')
            turnd.send_signal(signal.SIGHUP)
            turnd.wait_for(RELOADED)
            turnd.send_signal(signal.SIGUSR1)
            turnd.wait_for('SIGUSR1: draining')
            with turn.Client(turnd.address, 'a', 'b') as other, self.assertRaises(turn.Refused) as refused:
                other.allocate()
            self.assertEqual(refused.exception.code, 300)
            client.refresh(600)
            client.delete()
        self.assertEqual(turnd.wait(), EXIT_OK)

    @testing.case()
    def test_ends_at_once_when_few_enough_are_left(self):
        turnd = self.started(servers.Turnd('--drain-min-allocations=1'))
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as client:
            client.allocate()
            turnd.send_signal(signal.SIGUSR1)
            self.assertEqual(turnd.wait(), EXIT_OK)
        self.assertIn('drain completed: 1 allocations left', turnd.output())

    @testing.case()
    def test_ends_at_the_timeout(self):
        turnd, _ = self.drain('--drain-timeout=1')
        self.assertEqual(turnd.wait(), EXIT_OK)
        self.assertIn('drain completed: 1 allocations left, drain-timeout is over', turnd.output())

    @testing.case()
    def test_term_ends_it_at_once(self):
        turnd, _ = self.drain()
        began = time.monotonic()
        self.assertEqual(turnd.stop(), EXIT_OK)
        self.assertLess(time.monotonic() - began, 5)
        self.assertRegex(turnd.output(), 'SIGTERM: the drain ends here, draining for')


class Listeners(testing.TestCase):
    """Which ports are open, and what the log says of them."""

    def opened(self, turnd):
        return {re.search(r'IPv4\. (.*) listener opened on', line)[1] for line in turnd.lines() if 'listener opened on' in line}

    @testing.case()
    def test_udp_and_tcp_share_a_port_by_default(self):
        turnd = self.started(servers.Turnd())
        found = dict(re.search(r'IPv4\. (\w+) listener opened on: 127\.0\.0\.1:(\d+)$', line).groups()
                     for line in turnd.lines() if 'listener opened on' in line)
        self.assertEqual(set(found), {'UDP', 'TCP'})
        self.assertEqual(found['UDP'], found['TCP'])

    @testing.case()
    def test_what_is_turned_off_is_not_open(self):
        certificate = certificates.Authority(self.directory).issue()
        for options, expected in (((), {'UDP', 'TCP', 'TLS/TCP', 'DTLS/UDP'}),
                                  (('--no-udp',), {'TCP', 'TLS/TCP', 'DTLS/UDP'}),
                                  (('--no-tcp',), {'UDP', 'TLS/TCP', 'DTLS/UDP'}),
                                  (('--no-tls',), {'UDP', 'TCP', 'DTLS/UDP'}),
                                  (('--no-dtls',), {'UDP', 'TCP', 'TLS/TCP'})):
            turnd = self.started(servers.Turnd.with_streams(*options, tls=certificate))
            self.assertEqual(self.opened(turnd), expected, options)
            turnd.kill()

    @testing.case()
    def test_a_taken_tcp_port_is_named(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            port = taken.getsockname()[1]
            run = processes.run([servers.turnd_path(), '-n', '--realm=r', '--user=a:b', '--pidfile=',
                                 '--listening-ip=127.0.0.1', f'--listening-port={port}'], timeout=20)
        self.assertEqual(run.returncode, EXIT_STARTUP, run.output())
        self.assertRegex(run.output(), rf'ERROR .*127\.0\.0\.1:{port}.*in use')

    @testing.case()
    def test_two_servers_do_not_share_a_tcp_port(self):
        first = self.started(servers.Turnd('--no-udp'))
        port = int(first.wait_for(r'TCP listener opened on: 127\.0\.0\.1:(\d+)')[1])
        run = processes.run([servers.turnd_path(), '-n', '--realm=r', '--user=a:b', '--pidfile=', '--no-udp',
                             '--listening-ip=127.0.0.1', f'--listening-port={port}'], timeout=20)
        self.assertEqual(run.returncode, EXIT_STARTUP, run.output())

    @testing.case()
    def test_aux_servers(self):
        port = servers.free_ports(1)
        turnd = self.started(servers.Turnd(f'--aux-server=127.0.0.1:{port}'))
        for kind in ('UDP', 'TCP'):
            turnd.wait_for(rf'IPv4\. {kind} listener opened on: 127\.0\.0\.1:{port}$')
        with turn.Client(('127.0.0.1', port), servers.USER, servers.PASSWORD) as client:
            client.allocate()


class ServiceManager(testing.TestCase):
    """What systemd hears (sd_notify)."""

    def listen(self):
        path = self.path('notify')
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listening.close)
        listening.bind(path)
        listening.settimeout(processes.START_TIMEOUT)
        return path, listening

    @staticmethod
    def hear(listening, *wanted):
        """Reads messages until one begins with each of `wanted`, in this order."""
        heard = []
        for start in wanted:
            while not heard or not heard[-1].startswith(start):
                heard.append(listening.recv(4096).decode())
        return heard

    @testing.case()
    def test_the_life_of_a_service(self):
        path, listening = self.listen()
        turnd = self.started(servers.Turnd(env={**os.environ, 'NOTIFY_SOCKET': path}))
        self.hear(listening, 'READY=1')
        turnd.send_signal(signal.SIGHUP)
        heard = self.hear(listening, 'RELOADING=1', 'READY=1')
        self.assertRegex(heard[0], r'^RELOADING=1\nMONOTONIC_USEC=\d+$')
        turnd.send_signal(signal.SIGTERM)
        self.hear(listening, 'STOPPING=1')

    @testing.case()
    def test_the_watchdog_is_fed(self):
        path, listening = self.listen()
        self.started(servers.Turnd(env={**os.environ, 'NOTIFY_SOCKET': path, 'WATCHDOG_USEC': '300000'}))
        self.hear(listening, 'READY=1', 'WATCHDOG=1')
        self.hear(listening, 'WATCHDOG=1')

    @testing.case()
    def test_an_abstract_socket(self):
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listening.close)
        name = f'turnkit-test-{os.getpid()}'
        listening.bind('\0' + name)
        listening.settimeout(processes.START_TIMEOUT)
        self.started(servers.Turnd(env={**os.environ, 'NOTIFY_SOCKET': '@' + name}))
        self.hear(listening, 'READY=1')


if __name__ == '__main__':
    testing.main()
