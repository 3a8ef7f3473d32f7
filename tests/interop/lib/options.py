"""The frame of the option tests: the same configuration file for turnd and for coturn's turnserver, and the same
questions to both."""

import os
import re
import socket

from . import certificates, processes, servers, testing, turn, turn_stream
from .processes import ProcessFailure

# Nothing of this changes what a test looks at; each line of the test's own comes after it.
BASE = (f'realm={servers.REALM}', f'user={servers.USER}:{servers.PASSWORD}', 'lt-cred-mech', 'no-cli', 'log-file=stdout',
        'verbose', 'allow-loopback-peers', 'relay-threads=2')
LISTENING = ('listening-ip=127.0.0.1',)


def kinds():
    """The servers that get each file: both, or with `--against coturn` that one only, to prove the tests."""
    return ('coturn',) if testing.against() == 'coturn' else ('turnd', 'coturn')


class Server(processes.Process):
    """turnd or turnserver with a configuration file. `address` and `tls_address` are where it listens first."""

    def __init__(self, kind, directory, lines, arguments=(), *, ip='127.0.0.1', ready='udp', prefix=()):
        self.kind = kind
        for attempt in range(5):
            port = servers.free_ports(4, ip)
            self.port, self.tls_port = port, port + 2
            text = [line.format(port=port, alt=port + 1, tls=port + 2, alt_tls=port + 3) for line in lines]
            path = os.path.join(directory, f'{kind}-{port}.conf')
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), 'w', encoding='utf-8') as file:
                file.write('\n'.join([*text, f'listening-port={port}', f'tls-listening-port={port + 2}', '']))
            self.configuration = path
            if kind == 'turnd':
                program = [servers.turnd_path(), '-c', path, '--pidfile=']
            else:
                program = ['stdbuf', '-oL', 'turnserver', '-c', path, f'--userdb={directory}/turndb',
                           f'--pidfile={directory}/turnserver-{port}.pid']
            super().__init__([*program, *arguments], cwd=directory, prefix=prefix)
            self.address, self.tls_address = (ip, port), (ip, port + 2)
            try:
                self._wait_until_ready(ready)
                return
            except ProcessFailure as failure:
                self.kill()
                if attempt == 4 or 'in use' not in str(failure):
                    raise

    # turnserver does not say when its listeners are open; both are asked.
    def _wait_until_ready(self, ready):
        ip, port = self.address
        if ready != 'udp-silent':  # 'udp-silent': where it says nothing on standard output
            self.wait_for(servers.STARTED if self.kind == 'turnd' else 'Total General servers|' + servers.STARTED)
        if ready in ('udp', 'udp-silent'):
            with turn.Client((ip, port), timeout=processes.START_TIMEOUT) as client:
                client.binding()
        elif ready == 'tcp':
            servers.wait_for_tcp(ip, port, self)
        elif ready == 'tls':
            servers.wait_for_tcp(ip, self.tls_port, self)
        elif ready == 'allocate':  # where Binding requests get no answer
            processes.until(lambda: self._answers_allocate(ip, port), f'{self.name()} to answer')

    @staticmethod
    def _answers_allocate(ip, port):
        with turn.Client((ip, port), timeout=0.4) as client:
            try:
                client.allocate()
            except turn.Refused:
                return True
            except turn.NoAnswer:
                return False
        return True


class OptionCase(testing.TestCase):
    """A test that looks at what options do, as seen from the wire."""

    def setUp(self):
        super().setUp()
        self._authority = None

    @property
    def authority(self):
        if self._authority is None:
            self._authority = certificates.Authority(self.directory)
        return self._authority

    def start(self, kind, *lines, arguments=(), base=BASE + LISTENING, tls=None, **options):
        """A server with these lines; without a Certificate `tls` it serves neither TLS nor DTLS."""
        secure = [option[2:] for option in tls.options()] if tls else ['no-tls', 'no-dtls']
        return self.started(Server(kind, self.directory, [*base, *secure, *lines], arguments, **options))

    def turnd(self, *lines, **options):
        """turnd alone, for what coturn has not, or does otherwise."""
        if 'turnd' not in kinds():
            self.skipTest('about turnd only')
        return self.start('turnd', *lines, **options)

    def both(self, *lines, **options):
        """The two servers with the same file."""
        return [self.start(kind, *lines, **options) for kind in kinds()]

    def same(self, question, *lines, expected, **options):
        """Asks both servers, each with these lines, and compares the answers with each other and with `expected`."""
        for kind in kinds():
            server = self.start(kind, *lines, **options)
            answer = question(server)
            self.assertEqual(answer, expected, f'{kind} with {lines}; it said:\n{server.output()}')
            server.kill()

    def refused_at_start(self, *lines, arguments=(), base=BASE + LISTENING):
        """What turnd says when it does not start with these lines."""
        if 'turnd' not in kinds():
            self.skipTest('about turnd only')
        path = self.write('refused.conf', '\n'.join([*base, *lines, '']))
        run = processes.run([servers.turnd_path(), '-c', path, '--pidfile=', '--listening-port=0', *arguments], timeout=20)
        self.assertNotEqual(run.returncode, 0, run.output())
        return run.output()

    # Questions.

    def client(self, server, transport='udp', *, user=servers.USER, password=servers.PASSWORD, **options):
        address = server.address if isinstance(server, Server) else server
        client = turn_stream.client(transport, address, user, password, **options)
        self.addCleanup(client.socket.close)
        return client

    def peer(self, ip='127.0.0.1'):
        peer = servers.EchoSocket(ip)
        self.addCleanup(peer.close)
        return peer

    def code(self, call, *arguments, **options):
        """The error code of a request; 0 for success, None for no answer."""
        try:
            call(*arguments, **options)
        except turn.Refused as refused:
            return refused.code
        except turn.NoAnswer:
            return None
        return 0

    def answers(self, server, transport, address=None, **options):
        """Whether Binding requests are answered over the transport."""
        try:
            client = self.client(address or server.address, transport, timeout=0.7, **options)
            client.binding()
            return True
        except (turn.NoAnswer, OSError, ValueError):
            return False

    def relays(self, client, peer=None):
        """Whether data goes to a peer and comes back."""
        peer = peer or self.peer()
        client.permit(peer.address[0])
        client.send(peer.address, b'there')
        try:
            data, source = peer.receive(1)
            peer.send(data + b' and back', source)
            return client.receive(1)[1] == b'there and back'
        except (TimeoutError, turn.NoAnswer):
            return False


def listening(server, kind='udp'):
    """The "ip:port" that the process listens on, with "%device" where it is bound to one, from ss(8)."""
    flags = '-lnp' + ('u' if kind == 'udp' else 't')
    run = processes.run(['ss', '-H', flags], timeout=10)
    pids = {str(server.pid)}
    return {line.split()[3] for line in run.lines('out') if pids & set(re.findall(r'pid=(\d+)', line))}


def tcp_port_is_open(ip, port):
    try:
        socket.create_connection((ip, port), timeout=1).close()
        return True
    except OSError:
        return False
