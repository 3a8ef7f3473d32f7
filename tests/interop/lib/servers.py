"""The servers that tests start: turnd, coturn's turnserver and its echo peer, each on free loopback ports of its own."""

import os
import random
import re
import socket
import time

from . import processes, turn
from .processes import Process, ProcessFailure

REALM = 'test.example'
USER = 'alice'
PASSWORD = 'wonderland'
SECRET = 'north'

UDP_LISTENER = r'IPv[46]\. UDP listener opened on: (.+):(\d+)$'
STARTED = r'Total auth threads: \d+'


def turnd_path():
    """The program under test, from the command line of the test (see testing.py)."""
    path = os.environ.get('TURND')
    if not path:
        raise RuntimeError('name the program under test: --turnd PATH')
    return path


def free_ports(count=1, ip='127.0.0.1'):
    """The first of `count` adjacent ports that nobody has now, for UDP or for TCP, below the range of ephemeral ports,
    so that no client gets one of them before the server does."""
    family = socket.AF_INET6 if ':' in ip else socket.AF_INET
    for _ in range(200):
        first = random.randrange(10000, 32000)
        sockets = []
        try:
            for port in range(first, first + count):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    sockets.append(socket.socket(family, kind))
                    sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
                    sockets[-1].bind((ip, port))
            return first
        except OSError:
            continue
        finally:
            for sock in sockets:
                sock.close()
    raise ProcessFailure(f'no {count} adjacent free ports on {ip}')


class Turnd(Process):
    """turnd on a free port of 127.0.0.1, with a user and a secret, unless the test says otherwise."""

    COMMON = ('--no-config', '--pidfile=', f'--realm={REALM}', '--allow-loopback-peers', '--relay-threads=2')
    CREDENTIALS = (f'--user={USER}:{PASSWORD}', f'--static-auth-secret={SECRET}')
    LISTENER = ('--listening-ip=127.0.0.1', '--listening-port=0')

    def __init__(self, *options, common=COMMON, credentials=CREDENTIALS, listener=LISTENER, wait=True, **process):
        super().__init__([turnd_path(), *common, *credentials, *listener, *options], **process)
        self.address = None  # the first listener
        self.tls_address = None
        if wait:
            try:
                self.wait_until_started()
            except BaseException:
                self.kill()
                raise

    @classmethod
    def with_streams(cls, *options, listening_ip='127.0.0.1', tls=None, **rest):
        """On ports known beforehand, the same for UDP and TCP, so that any transport finds it; with the Certificate
        `tls` for TLS and DTLS too, there and on a port of their own."""
        secure = (*tls.options(),) if tls else ('--no-tls', '--no-dtls')
        for attempt in range(5):
            port = free_ports(4, listening_ip)
            listener = (f'--listening-ip={listening_ip}', f'--listening-port={port}',
                        *((f'--tls-listening-port={port + 2}',) if tls else ()))
            try:
                turnd = cls(*secure, *options, listener=listener, **rest)
            except ProcessFailure as failure:
                if attempt == 4 or 'in use' not in str(failure):
                    raise
                continue
            turnd.address = (listening_ip, port)
            turnd.tls_address = (listening_ip, port + 2) if tls else None
            return turnd
        raise AssertionError('not reached')

    def wait_until_started(self):
        self.wait_for(STARTED)
        listeners = self.listeners()
        self.address = listeners[0] if listeners else None

    def listeners(self):
        """(ip, port) of every UDP listener."""
        found = []
        for line in self.lines():
            match = re.search(UDP_LISTENER, line)
            if match:
                found.append((match[1].strip('[]'), int(match[2])))
        return found

    def port_on(self, ip):
        return next(port for listener, port in self.listeners() if listener == ip)


class Turnserver(Process):
    """coturn from Debian, set up as Turnd is. Serves users or secrets, not both: that is how coturn works."""

    def __init__(self, directory, *options, credentials='user', listening_ip='127.0.0.1', threads=2, tls=None, **process):
        keys = {'user': ['--lt-cred-mech', f'--user={USER}:{PASSWORD}'],
                'secret': ['--use-auth-secret', f'--static-auth-secret={SECRET}'], None: []}[credentials]
        self.address = None
        self.tls_address = None
        for attempt in range(5):
            port = free_ports(4, listening_ip)
            secure = (*tls.options(), f'--tls-listening-port={port + 2}') if tls else ('--no-tls', '--no-dtls')
            super().__init__(
                ['stdbuf', '-oL', 'turnserver', '-n', *keys,
                 f'--realm={REALM}', f'--listening-ip={listening_ip}', f'--listening-port={port}', *secure,
                 f'--relay-threads={threads}', '--allow-loopback-peers', '--no-cli',
                 '--log-file=stdout', f'--userdb={directory}/turndb', f'--pidfile={directory}/turnserver.pid',
                 *options], **process)
            try:
                self.wait_for('Total General servers|' + STARTED)
                self.address = (listening_ip, port)
                self.tls_address = (listening_ip, port + 2) if tls else None
                self._wait_for_listeners(options)
                return
            except ProcessFailure:
                self.kill()
                if attempt == 4:
                    raise

    # Debian's version does not say when its listeners are open.
    def _wait_for_listeners(self, options):
        ip, port = self.address
        ip = '127.0.0.1' if ip == '0.0.0.0' else ip
        if not {'--no-stun', '--no-udp', '--secure-stun'} & set(options):
            with turn.Client((ip, port), timeout=processes.START_TIMEOUT) as client:
                client.binding()
        if '--no-tcp' not in options:
            wait_for_tcp(ip, port, self)
        if self.tls_address and '--no-tls' not in options:
            wait_for_tcp(ip, self.tls_address[1], self)


def wait_for_tcp(ip, port, process):
    """Waits until something that `process` opens accepts connections."""

    def accepts():
        if process.returncode is not None:
            raise ProcessFailure(f'{process.name()} ended:\n{process.output()}')
        try:
            socket.create_connection((ip, port), timeout=1).close()
            return True
        except OSError:
            return False

    processes.until(accepts, f'{process.name()} to accept TCP connections on {ip} port {port}')


class Peer(Process):
    """turnutils_peer: echoes on `port` and `port` + 1 of each address."""

    def __init__(self, *addresses):
        addresses = addresses or ('127.0.0.1',)
        for attempt in range(5):
            self.port = free_ports(2, addresses[0])
            super().__init__(['turnutils_peer', '-p', self.port, *(f'-L{ip}' for ip in addresses)])
            try:
                for ip in addresses:
                    for port in (self.port, self.port + 1):
                        self._wait_for_echo(ip, port)
                return
            except ProcessFailure:
                self.kill()
                if attempt == 4:
                    raise

    # It prints nothing when it is ready: it is, once it echoes.
    def _wait_for_echo(self, ip, port):
        with socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.1)
            sock.connect((ip, port))
            deadline = time.monotonic() + processes.START_TIMEOUT
            while time.monotonic() < deadline and self.returncode is None:
                try:
                    sock.send(b'are you there?')
                    if sock.recv(100):
                        return
                except OSError:
                    time.sleep(0.02)  # refused: not yet open
        raise ProcessFailure(f'turnutils_peer does not echo on {ip} port {port}')


class EchoSocket:
    """A UDP socket of the test that a relay's peer uses; replies only when told to."""

    def __init__(self, ip='127.0.0.1'):
        self.socket = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, 0))
        self.address = self.socket.getsockname()[:2]

    def receive(self, timeout=10.0):
        """(data, source)"""
        self.socket.settimeout(timeout)
        data, source = self.socket.recvfrom(65536)
        return data, source[:2]

    def send(self, data, to):
        self.socket.sendto(data, to)

    def close(self):
        self.socket.close()
