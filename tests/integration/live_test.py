#!/usr/bin/python3
"""What an administrator does to a running server: reload, certificates, drain. Clients of every kind go on meanwhile,
and lose not one packet."""

import os
import shutil
import signal
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import certificates, processes, servers, testing, turn, turn_stream  # noqa: E402
from lib.steady import Steady, SteadyStream  # noqa: E402

RELOADED = 'the configuration is read again and in force'
BASE = (f'realm={servers.REALM}', f'user={servers.USER}:{servers.PASSWORD}', 'allow-loopback-peers', 'listening-ip=127.0.0.1',
        'relay-threads=2', 'pidfile=', 'verbose')


class Live(testing.TestCase):
    """Four clients with UDP relays, one for each transport, and two with TCP relays."""

    def setUp(self):
        super().setUp()
        self.authority = certificates.Authority(self.directory)
        self.certificate = certificates.Certificate(self.path('live.pem'), self.path('live.key'))
        self.install(self.authority.issue('first.example'))
        self.port = servers.free_ports(4)
        self.configuration = self.write('turnd.conf', self.text())
        self.turnd = self.started(servers.Turnd(f'--config={self.configuration}', common=(), credentials=(), listener=()))
        self.address, self.tls_address = ('127.0.0.1', self.port), ('127.0.0.1', self.port + 2)
        self.clients = {transport: self.client(transport) for transport in ('udp', 'tcp', 'tls', 'dtls')}
        self.flows = {transport: Steady(client, self.peer()) for transport, client in self.clients.items()}
        for transport in ('tcp', 'tls'):
            name = f'TCP relay over {transport}'
            self.clients[name] = self.client(transport)
            self.flows[name] = SteadyStream(self.clients[name])
            self.addCleanup(self.flows[name].close)
        for flow in self.flows.values():
            self.addCleanup(flow.stop)  # before its sockets are closed
        self.wait_for_packets()

    def text(self, *lines):
        return '\n'.join([*BASE, *(option[2:] for option in self.certificate.options()), f'listening-port={self.port}',
                          f'tls-listening-port={self.port + 2}', *lines, ''])

    def install(self, certificate):
        for source, target in ((certificate.cert, self.certificate.cert), (certificate.pkey, self.certificate.pkey)):
            shutil.copy(source, target + '.new')
            os.replace(target + '.new', target)

    def client(self, transport, user=servers.USER, password=servers.PASSWORD):
        client = turn_stream.client(transport, self.tls_address if transport in ('tls', 'dtls') else self.address, user, password)
        self.addCleanup(client.socket.close)
        return client

    def peer(self):
        peer = servers.EchoSocket()
        self.addCleanup(peer.close)
        return peer

    def wait_for_packets(self, count=20):
        """Until each flow has moved so many packets more."""
        before = {name: flow.sent for name, flow in self.flows.items()}
        processes.until(lambda: all(flow.sent >= before[name] + count for name, flow in self.flows.items()),
                        'packets of every client')

    def nothing_lost(self):
        self.wait_for_packets()
        for name, flow in self.flows.items():
            flow.stop()
            print(f'{name}: {flow}')
        for name, flow in self.flows.items():
            self.assertEqual(flow.lost, 0, f'{name}: {flow}\n{self.turnd.output()}')
            self.assertEqual(self.clients[name].refresh(600), 600, name)

    def reload(self, *lines, says=RELOADED):
        with open(self.configuration, 'w', encoding='utf-8') as file:
            file.write(self.text(*lines))
        self.signal(signal.SIGHUP, says)

    def signal(self, number, says):
        before = self.turnd.line_count()
        self.turnd.send_signal(number)
        if says is not None:
            self.turnd.wait_for(says, start=before)

    def code(self, user=servers.USER, password=servers.PASSWORD, transport='udp', permit=None):
        client = self.client(transport, user, password)
        try:
            client.allocate()
            if permit:
                client.permit(permit)
            client.delete()
        except turn.Refused as refused:
            return refused.code
        finally:
            client.socket.close()
        return 0

    def served(self):
        """The name in the certificate that a new connection gets."""
        context = turn_stream.context(self.authority.cert)
        context.check_hostname = False
        with turn_stream.connect(self.tls_address, tls=context) as sock:
            return dict(pair for entry in sock.getpeercert()['subject'] for pair in entry)['commonName']

    @testing.case(timeout=90)
    def test_reload(self):
        self.reload('user=bob:builder')
        self.assertEqual(self.code('bob', 'builder'), 0)
        self.reload('static-auth-secret=north')
        self.assertEqual((self.code('bob', 'builder'), self.code(*turn.rest_credentials('north', 'carol'))), (401, 0))
        self.reload('denied-peer-ip=198.51.100.0-198.51.100.255')
        self.assertEqual((self.code(permit='198.51.100.9'), self.code(permit='203.0.113.9')), (403, 0))
        self.reload('total-quota=2')
        self.assertEqual(self.code(), 486, 'six are there already')
        self.reload('alternate-server=192.0.2.7:3478')
        self.assertEqual((self.code(), self.code(transport='tls')), (300, 300))
        self.install(self.authority.issue('second.example'))
        self.reload('certificate-watch')
        self.assertEqual(self.served(), 'second.example')
        self.reload('user=bob:builder', 'log-min-level=error', says=None)
        processes.until(lambda: self.code('bob', 'builder') == 0, 'the quiet configuration')
        before = self.turnd.line_count()
        self.assertEqual(self.code('bob', 'builder'), 0)
        self.assertEqual(self.turnd.lines()[before:], [])
        self.reload()
        self.assertEqual(self.code(transport='dtls'), 0)
        self.nothing_lost()

    @testing.case(timeout=90)
    def test_reload_again_and_again(self):
        for number in range(20):
            self.reload(f'user=bob:{number}', f'total-quota={100 + number}', f'denied-peer-ip=198.51.100.{number}')
        self.assertEqual((self.code('bob', '19'), self.code('bob', '18')), (0, 401))
        self.nothing_lost()

    @testing.case(timeout=90)
    def test_reload_of_a_broken_file(self):
        with open(self.configuration, 'a', encoding='utf-8') as file:
            file.write('min-port=none\nuser=bob:builder\n')
        self.signal(signal.SIGHUP, r'turnd\.conf:\d+: min-port=none')
        self.assertEqual((self.code('bob', 'builder'), self.code()), (401, 0))
        self.nothing_lost()

    @testing.case(timeout=90)
    def test_certificates(self):
        self.assertEqual(self.served(), 'first.example')
        self.install(self.authority.issue('second.example'))
        processes.until(lambda: self.served() == 'second.example', 'the new certificate, without a signal', every=0.2)
        self.install(self.authority.issue('third.example'))
        self.signal(signal.SIGUSR2, 'SIGUSR2: the certificate is read again')
        self.assertEqual(self.served(), 'third.example')
        with open(self.certificate.cert, 'w', encoding='ascii') as file:
            file.write('no certificate\n')
        self.signal(signal.SIGUSR2, r'(ERROR|WARNING).*live\.pem')
        self.assertEqual(self.served(), 'third.example')
        self.nothing_lost()

    @testing.case(timeout=90)
    def test_tls_sessions_are_resumed_over_a_certificate_change(self):
        context = turn_stream.context(maximum=ssl.TLSVersion.TLSv1_2)
        first = turn_stream.connect(self.tls_address, tls=context)
        session = first.session
        first.close()
        self.install(self.authority.issue('second.example'))
        self.signal(signal.SIGUSR2, 'second.example')
        again = turn_stream.connect(self.tls_address, tls=context, session=session)
        self.assertTrue(again.session_reused)
        again.close()
        self.nothing_lost()

    @testing.case(timeout=90)
    def test_drain(self):
        self.signal(signal.SIGUSR1, 'draining')
        self.assertEqual([self.code(transport=transport) for transport in ('udp', 'tcp', 'tls', 'dtls')], [403] * 4)
        self.wait_for_packets(100)
        self.nothing_lost()
        self.assertIsNone(self.turnd.returncode)
        for client in self.clients.values():
            client.delete()
        self.assertEqual(self.turnd.wait(), 0, self.turnd.output())


if __name__ == '__main__':
    testing.main()
