#!/usr/bin/python3
"""Chromium through turnd: a page whose connections may use relayed candidates only exchanges messages over data
channels. `--against coturn` proves the tests."""

import base64
import hashlib
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'interop'))

from lib import certificates, processes, servers, testing, turn, web  # noqa: E402

MESSAGES = 60


class Chromium(testing.TestCase):
    """Each test starts a server and a browser."""

    def setUp(self):
        super().setUp()
        install = processes.run([os.path.join(HERE, 'install')], timeout=100)
        self.assertEqual(install.returncode, 0, f'npm could not install playwright-core:\n{install.output()}')
        self.authority = certificates.Authority(self.directory)
        self.certificate = self.authority.issue()
        self.trusted = [self.spki(self.certificate)]
        self.start()

    def start(self, *options):
        if testing.against() == 'coturn':
            self.server = self.started(servers.Turnserver(self.directory, '--verbose', *options, tls=self.certificate))
        else:
            self.server = self.started(servers.Turnd.with_streams('--verbose', *options, tls=self.certificate))

    @staticmethod
    def spki(certificate):
        key = subprocess.run(['openssl', 'x509', '-in', certificate.cert, '-noout', '-pubkey'], check=True,
                             stdout=subprocess.PIPE).stdout
        der = subprocess.run(['openssl', 'pkey', '-pubin', '-outform', 'der'], input=key, check=True,
                             stdout=subprocess.PIPE).stdout
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    def exchange(self, *urls, user=servers.USER, password=servers.PASSWORD, trusted=True, **task):
        """What relay_page.js said of two ends with these URLs."""
        task = {'urls': urls * (3 - len(urls)), 'username': user, 'credential': password, 'messages': MESSAGES,
                'hosts': 'MAP *.test.example 127.0.0.1', **({'spki': ','.join(self.trusted)} if trusted else {}), **task}
        process = processes.run(['node', os.path.join(HERE, 'relay_page.js'), json.dumps(task)], timeout=100)
        self.assertEqual(process.returncode, 0, process.output())
        return json.loads(process.lines('out')[-1])

    def check(self, protocols, *urls, **task):
        """Every message came back, over relayed candidates that clients reached by `protocols`."""
        told = self.exchange(*urls, **task)
        self.assertTrue(told['ok'], f'{told}\nthe server said:\n{self.server.output()}')
        for pair, protocol in zip(told['pairs'], protocols):
            self.assertEqual((pair['local'], pair['remote'], pair['protocol']), ('relay', 'relay', protocol), told)
        return told

    def url(self, transport, *, scheme='turn', host='127.0.0.1', address=None):
        return f'{scheme}:{host}:{(address or self.server.address)[1]}?transport={transport}'

    @testing.case(timeout=120)
    def test_udp(self):
        self.check(('udp', 'udp'), self.url('udp'))

    @testing.case(timeout=120)
    def test_tcp(self):
        self.check(('tcp', 'tcp'), self.url('tcp'))

    @testing.case(timeout=120)
    def test_tls(self):
        self.check(('tls', 'tls'), self.url('tcp', scheme='turns', address=self.server.tls_address))

    @testing.case(timeout=120)
    def test_tls_by_name(self):
        self.check(('tls', 'tls'), self.url('tcp', scheme='turns', host=certificates.SERVER_NAME,
                                            address=self.server.tls_address))

    @testing.case(timeout=120)
    def test_tls_on_the_plain_port(self):
        self.check(('tls', 'tls'), self.url('tcp', scheme='turns'))

    @testing.case(timeout=120)
    def test_tcp_on_the_tls_port(self):
        self.check(('tcp', 'tcp'), self.url('tcp', address=self.server.tls_address))

    @testing.case(timeout=120)
    def test_one_end_over_udp_and_one_over_tls(self):
        self.check(('udp', 'tls'), self.url('udp'), self.url('tcp', scheme='turns', address=self.server.tls_address))

    @testing.case(timeout=120)
    def test_one_end_over_tcp_and_one_over_udp(self):
        self.check(('tcp', 'udp'), self.url('tcp'), self.url('udp'))

    @testing.case(timeout=120)
    def test_ice_restart(self):
        for transport in ('udp', 'tcp'):
            told = self.check((transport, transport), self.url(transport), restart=True)
            self.assertEqual(told['messages'], 2 * MESSAGES)

    @testing.case(timeout=120)
    def test_time_limited_credentials(self):
        if testing.against() == 'coturn':
            self.skipTest('turnserver serves users or secrets, not both')
        user, password = turn.rest_credentials(servers.SECRET, 'bob')
        self.check(('tcp', 'tcp'), self.url('tcp'), user=user, password=password)

    @testing.case(timeout=120)
    def test_a_web_site_and_turn_on_one_port(self):
        """The page comes from a web server behind turnd's TLS port, and its media goes through the same port."""
        if testing.against() == 'coturn':
            self.skipTest('turnserver cannot share its port')
        certificate = self.authority.issue('www.test.example')
        self.trusted.append(self.spki(certificate))
        site = web.Site('the web site', tls=certificate)
        self.addCleanup(site.close)
        self.start(f'--sni-turn={certificates.SERVER_NAME}', '--tls-backend={}:{}'.format(*site.address))
        told = self.check(('tls', 'tls'), self.url('tcp', scheme='turns', host=certificates.SERVER_NAME,
                                                   address=self.server.tls_address),
                          page=f'https://www.test.example:{self.server.tls_address[1]}/')
        self.assertEqual(told['text'], 'the web site')

    @testing.case(timeout=120)
    def test_a_certificate_that_nobody_vouches_for_is_refused(self):
        """The browser does verify; so the tests above show that it got the right certificate."""
        told = self.exchange(self.url('tcp', scheme='turns', address=self.server.tls_address), trusted=False, wait=6000)
        self.assertFalse(told['ok'], told)
        self.assertEqual(told['candidates'], [])


if __name__ == '__main__':
    testing.main()
