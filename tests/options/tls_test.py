#!/usr/bin/python3
"""Certificates, versions, ciphers, curves: seen by OpenSSL's s_client and by Python's ssl."""

import os
import re
import ssl
import subprocess
import sys
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import certificates, dtls, options, processes, testing, turn_stream  # noqa: E402

warnings.filterwarnings('ignore', category=DeprecationWarning)  # of TLS 1.0 and 1.1


class Tls(options.OptionCase):
    """One certificate for each test, or more."""

    def handshake(self, server, *arguments):
        """What s_client says of a connection to the server; None when there is none."""
        run = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{server.tls_port}', *arguments],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20,
                             check=False)
        text = run.stdout.decode('utf-8', 'replace')
        return None if re.search(r'Cipher is \(NONE\)|connect:errno', text) else text

    def refuses(self, server, *arguments):
        return self.handshake(server, *arguments) is None

    def served(self, server):
        """The common name of the certificate that the server shows."""
        text = self.handshake(server)
        return text and re.search(r'subject=CN = (\S+)', text)[1]

    @testing.case()
    def test_cert_and_pkey(self):
        def question(server):
            verified = self.client(server.tls_address, 'tls', tls=turn_stream.context(self.authority.cert),
                                   server_name=certificates.SERVER_NAME)
            return (self.served(server), verified.binding() is not None)

        self.same(question, tls=self.authority.issue(), ready='tls', expected=(certificates.SERVER_NAME, True))

    @testing.case()
    def test_cert_that_cannot_be_used_is_refused(self):
        """coturn goes on without TLS."""
        good, other = self.authority.issue(), self.authority.issue('other.example')
        for cert, pkey in ((self.path('none.pem'), good.pkey), (good.cert, other.pkey), (good.pkey, good.pkey)):
            with self.subTest(cert=os.path.basename(cert), pkey=os.path.basename(pkey)):
                said = self.refused_at_start(f'cert={cert}', f'pkey={pkey}')
                self.assertTrue(cert in said or pkey in said, said)

    @testing.case()
    def test_pkey_pwd(self):
        locked = self.authority.issue(password='open sesame')
        self.same(self.served, 'pkey-pwd=open sesame', tls=locked, ready='tls', expected=certificates.SERVER_NAME)
        said = self.refused_at_start(*(option[2:] for option in locked.options()), 'pkey-pwd=open says me')
        self.assertIn(locked.pkey, said)
        self.assertNotIn('open says me', said)

    @testing.case()
    def test_cipher_list(self):
        def question(server):
            only = '-tls1_2', '-cipher'
            return [self.refuses(server, *only, cipher)
                    for cipher in ('ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384')]

        self.same(question, 'cipher-list=ECDHE-ECDSA-AES256-GCM-SHA384', tls=self.authority.issue(), ready='tls',
                  expected=[True, False])

    @testing.case()
    def test_cipher_list_that_openssl_does_not_know(self):
        certificate = self.authority.issue()
        self.assertIn('NO-SUCH-CIPHER', self.refused_at_start(*(option[2:] for option in certificate.options()),
                                                              'cipher-list=NO-SUCH-CIPHER'))

    @testing.case()
    def test_CA_file(self):  # pylint: disable=invalid-name
        def question(server):
            mine = self.authority.issue('device.example')
            foreign = certificates.Authority(self.make('foreign')).issue('device.example')
            return [self.speaks(server, certificate) for certificate in (mine, foreign, None)]

        self.same(question, f'CA-file={self.authority.cert}', tls=self.authority.issue(), ready='tls',
                  expected=[True, False, False])

    def make(self, name):
        os.makedirs(self.path(name), exist_ok=True)
        return self.path(name)

    # Under TLS 1.3 a client learns only after the handshake that its certificate is not welcome.
    def speaks(self, server, certificate):
        try:
            client = self.client(server.tls_address, 'tls', tls=turn_stream.context(certificate=certificate), timeout=3)
            return client.binding() is not None
        except (OSError, turn_stream.turn.NoAnswer):
            return False

    @testing.case()
    def test_CA_file_holds_for_dtls(self):  # pylint: disable=invalid-name
        server = self.turnd(f'CA-file={self.authority.cert}', tls=self.authority.issue())
        with self.assertRaises(OSError):
            dtls.Socket(server.tls_address, timeout=3)
        dtls.Socket(server.tls_address, certificate=self.authority.issue('device.example')).close()

    @testing.case()
    def test_ec_curve_name(self):
        def question(server):
            return [self.refuses(server, '-tls1_2', '-curves', curve) for curve in ('secp384r1:prime256v1', 'secp521r1')]

        self.same(question, 'ec-curve-name=secp384r1', tls=self.authority.issue(), ready='tls', expected=[False, True])
        used = self.handshake(self.turnd('ec-curve-name=secp384r1', tls=self.authority.issue()), '-tls1_2')
        self.assertRegex(used, r'Server Temp Key: ECDH, (P-384|secp384r1)')

    def rsa(self):
        """A certificate that plain Diffie-Hellman can go with."""
        certificate = certificates.Certificate(self.path('rsa.pem'), self.path('rsa.key'))
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', certificate.pkey, '-out',
                        certificate.cert, '-days', '30', '-subj', '/CN=rsa.example'], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        return certificate

    def dh_bits(self, server):
        text = self.handshake(server, '-tls1_2', '-cipher', 'DHE-RSA-AES128-GCM-SHA256')
        found = re.search(r'Server Temp Key: DH, (\d+) bits', text or '')
        return int(found[1]) if found else None

    @testing.case()
    def test_dh_file(self):
        # The group of RFC 7919 with 3072 bits, which is quicker to write down than a new one is to find.
        path = self.path('dh.pem')
        made = processes.run(['openssl', 'genpkey', '-genparam', '-algorithm', 'DH', '-pkeyopt', 'group:ffdhe3072', '-out', path],
                             timeout=20)
        self.assertEqual(made.returncode, 0, made.output())
        text = self.read(path)
        self.assertIn('PARAMETERS', text)
        self.same(self.dh_bits, f'dh-file={path}', tls=self.rsa(), ready='tls', expected=3072)

    @testing.case()
    def test_dh566_dh1066_and_dh2066(self):
        """Whatever the name, 2048 bits: no weak group is served because an old file asks for it."""
        certificate = self.rsa()
        for key in ('dh566', 'dh1066', 'dh2066'):
            with self.subTest(key):
                self.assertEqual(self.dh_bits(self.turnd(key, tls=certificate)), 2048)

    VERSIONS = ('TLSv1', 'TLSv1_1', 'TLSv1_2', 'TLSv1_3')

    def versions(self, server):
        found = set()
        for version in self.VERSIONS:
            context = turn_stream.context()
            context.set_ciphers('ALL:@SECLEVEL=0')
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
            try:
                turn_stream.connect(server.tls_address, tls=context, timeout=2).close()
                found.add(version)
            except OSError:
                pass
        return found

    WEAK = 'cipher-list=DEFAULT@SECLEVEL=0'

    @testing.case()
    def test_versions_by_default(self):
        self.assertEqual(self.versions(self.turnd(tls=self.authority.issue())), {'TLSv1_2', 'TLSv1_3'})
        self.assertEqual(self.versions(self.turnd(self.WEAK, tls=self.authority.issue())), {'TLSv1_2', 'TLSv1_3'})

    @testing.case()
    def test_tlsv1_and_tlsv1_1(self):
        """Keys that coturn has since 4.7."""
        certificate = self.authority.issue()
        self.assertEqual(self.versions(self.turnd('tlsv1', self.WEAK, tls=certificate)), set(self.VERSIONS))
        self.assertEqual(self.versions(self.turnd('tlsv1_1', self.WEAK, tls=certificate)), set(self.VERSIONS) - {'TLSv1'})

    @testing.case()
    def test_no_tlsv1_and_no_tlsv1_1(self):
        """Keys that coturn has up to 4.6; both together are what every guide of that time says."""
        self.same(lambda server: self.versions(server) - {'TLSv1_3'}, 'no-tlsv1', 'no-tlsv1_1', self.WEAK,
                  tls=self.authority.issue(), ready='tls', expected={'TLSv1_2'})  # Debian's coturn has no TLS 1.3
        certificate = self.authority.issue()
        self.assertNotIn('TLSv1', self.versions(self.turnd('tlsv1', 'no-tlsv1', self.WEAK, tls=certificate)))
        self.assertNotIn('TLSv1_1', self.versions(self.turnd('tlsv1_1', 'no-tlsv1_1', self.WEAK, tls=certificate)))

    @testing.case()
    def test_no_tlsv1_2(self):
        server = self.turnd('no-tlsv1_2', tls=self.authority.issue())
        self.assertEqual(self.versions(server), {'TLSv1_3'})
        self.assertTrue(self.answers(server, 'dtls'), 'DTLS 1.2 is the only one there is')

    @testing.case()
    def test_certificate_watch(self):
        old, new = self.authority.issue('old.example'), self.authority.issue('new.example')
        for lines, wanted in (((), 'new.example'), (('certificate-watch=off',), 'old.example')):
            with self.subTest(lines):
                live = certificates.Certificate(self.path('live.pem'), self.path('live.key'))
                self.replace(live, old)
                server = self.turnd(*lines, tls=live, ready='tls')
                self.assertEqual(self.served(server), 'old.example')
                self.replace(live, new)
                if wanted == 'new.example':
                    processes.until(lambda: self.served(server) == wanted, 'the new certificate', every=0.1)
                else:
                    with self.assertRaises(processes.ProcessFailure):
                        processes.until(lambda: self.served(server) != wanted, 'another certificate', timeout=2, every=0.3)

    def replace(self, live, source):
        for path, content in ((live.cert, self.read(source.cert)), (live.pkey, self.read(source.pkey))):
            os.replace(self.write('new', content), path)

    @testing.case()
    def test_alpn(self):
        """RFC 7443, and coturn's answer to clients that offer HTTP only."""
        server = self.turnd(tls=self.authority.issue())
        for offered, agreed in ((['stun.turn'], 'stun.turn'), (['stun.nat-discovery'], 'stun.nat-discovery'),
                                (['http/2.0', 'stun.turn'], 'stun.turn'), (['foo'], None), ([], None)):
            with self.subTest(offered):
                sock = turn_stream.connect(server.tls_address, tls=turn_stream.context(alpn=offered))
                self.assertEqual(sock.selected_alpn_protocol(), agreed)
                sock.close()
        self.assertEqual(dtls.Socket(server.tls_address, alpn=['stun.turn']).alpn(), 'stun.turn')


if __name__ == '__main__':
    testing.main()
