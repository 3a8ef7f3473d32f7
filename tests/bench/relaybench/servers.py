"""The servers that are compared, each with one relay thread, pinned to a core, in a namespace where the mode has one."""

import os
import random
import subprocess
import tempfile

from lib import processes

REALM = 'bench.example'
SECRET = 'north'
# Below the ephemeral ports, from which the clients' and peers' sockets come.
RELAY_PORTS = ('--min-port=18000', '--max-port=32000')
COMMON = (f'--realm={REALM}', f'--static-auth-secret={SECRET}', '--allow-loopback-peers', '--relay-threads=1')


class Place:
    """Where a server runs: its address, its core, and what stands in front of its command line."""

    def __init__(self, ip='127.0.0.1', core=0, inside=()):
        self.ip = ip
        self.core = core
        self.inside = tuple(inside)

    def prefix(self):
        return (*self.inside, 'taskset', '-c', str(self.core))


def _port():
    return random.randrange(10000, 17000)


class Server:
    """A running server; `stop()` ends it."""

    def __init__(self, name, argv, place, port, ready=None, wrapper=()):
        self.name = name
        self.address = f'{place.ip}:{port}'
        self.tls_address = f'{place.ip}:{port + 1}'
        self.process = processes.Process([*wrapper, *argv], prefix=place.prefix())
        try:
            if ready:
                self.process.wait_for(ready, timeout=60)
        except BaseException:
            self.process.kill()
            raise

    @property
    def pid(self):
        return self.process.pid

    def stop(self, timeout=60):
        """SIGTERM, so that a profiler writes its file; killed when that takes too long."""
        try:
            self.process.stop(timeout)
        except processes.ProcessFailure:
            pass


class Starter:
    """Starts servers by name from a build directory."""

    NAMES = ('turnd', 'turnserver', 'floor')

    def __init__(self, build):
        self.turnd = os.path.join(build, 'turnd', 'turnd')
        self.floor = os.path.join(build, 'tests', 'bench', 'bench_floor')
        self.probe = os.path.join(build, 'probe', 'turn-probe')
        self.stream = os.path.join(build, 'tests', 'bench', 'bench_stream')
        self.directory = tempfile.TemporaryDirectory(prefix='turnkit-bench-')

    def missing(self, names, streams=False):
        wanted = [self.probe] + ([self.stream] if streams else []) + [getattr(self, name) for name in names if name != 'turnserver']
        return [path for path in wanted if not os.access(path, os.X_OK)]

    def _certificate(self):
        """Options for a self-signed RSA certificate of 2048 bits, made once."""
        files = [os.path.join(self.directory.name, name) for name in ('cert.pem', 'key.pem')]
        if not os.path.exists(files[0]):
            subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=turn.test',
                            '-out', files[0], '-keyout', files[1]], check=True, capture_output=True)
        return (f'--cert={files[0]}', f'--pkey={files[1]}')

    def start(self, name, place, wrapper=(), streams=False):
        """`streams`: with TCP, TLS and DTLS listeners; TLS on the port after the plain one."""
        port = _port()
        secure = (*self._certificate(), f'--tls-listening-port={port + 1}') if streams else ('--no-tls', '--no-dtls')
        listener = (f'--listening-ip={place.ip}', f'--listening-port={port}', *secure)
        if name == 'turnd':
            argv = [self.turnd, '--no-config', '--pidfile=', *COMMON, *RELAY_PORTS, *listener]
            return Server(name, argv, place, port, r'Total auth threads', wrapper)
        if name == 'turnserver':
            directory = self.directory.name
            argv = ['stdbuf', '-oL', 'turnserver', '-n', '--use-auth-secret', *COMMON, *RELAY_PORTS, *listener, '--no-cli',
                    '--log-file=stdout', f'--userdb={directory}/turndb', f'--pidfile={directory}/turnserver.pid']
            return Server(name, argv, place, port, r'Total General servers|Total auth threads', wrapper)
        argv = [self.floor, '--listen', f'{place.ip}:{port}', '--socket-buffer', str(4 << 20)]
        return Server(name, argv, place, port, None, wrapper)
