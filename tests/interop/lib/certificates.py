"""Certificates for tests: an authority of the test's own, and servers' and clients' certificates that it signs."""

import os
import subprocess
from dataclasses import dataclass

CURVE = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes')
SERVER_NAME = 'turn.test.example'


@dataclass(frozen=True)
class Certificate:
    """Paths of PEM files."""

    cert: str
    pkey: str

    def options(self):
        """As turnd and turnserver take it."""
        return (f'--cert={self.cert}', f'--pkey={self.pkey}')


def _openssl(*arguments):
    subprocess.run(['openssl', *arguments], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


class Authority:
    """Makes its own certificate in `directory`, and others on demand."""

    def __init__(self, directory):
        self.directory = directory
        self._made = 0
        self.cert = os.path.join(directory, 'ca.pem')
        self._key = os.path.join(directory, 'ca.key')
        _openssl('req', '-x509', *CURVE, '-keyout', self._key, '-out', self.cert, '-days', '30', '-subj', '/CN=Test authority',
                 '-addext', 'keyUsage=critical,keyCertSign,cRLSign')

    def issue(self, name=SERVER_NAME, addresses=('127.0.0.1', '::1'), days=30, password=None):
        """A certificate for the host `name` and its addresses."""
        self._made += 1
        stem = os.path.join(self.directory, f'{self._made}-{name.replace("*", "any")}')
        request, cert, pkey, extensions = (f'{stem}.{end}' for end in ('csr', 'pem', 'key', 'ext'))
        with open(extensions, 'w', encoding='ascii') as file:
            names = ','.join([f'DNS:{name}', *(f'IP:{ip}' for ip in addresses)])
            file.write(f'subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n')
        _openssl('req', *CURVE, '-keyout', pkey, '-out', request, '-subj', f'/CN={name}')
        _openssl('x509', '-req', '-in', request, '-CA', self.cert, '-CAkey', self._key, '-set_serial', str(self._made + 1),
                 '-days', str(days), '-extfile', extensions, '-out', cert)
        if password is not None:
            _openssl('pkey', '-in', pkey, '-aes256', '-passout', f'pass:{password}', '-out', pkey + '.locked')
            pkey += '.locked'
        return Certificate(cert, pkey)
