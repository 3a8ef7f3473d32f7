#!/usr/bin/python3
"""external-ip on a host behind 1:1 NAT: told by address, asked of a STUN server, looked up by name, and followed when it
changes. Three hosts in network namespaces; the STUN server outside is coturn's turnserver."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import lab, processes, servers, testing, turn  # noqa: E402
from lib.lab import CLIENT_IP, PUBLIC_IPS, RELAY_IP, STUN_IP  # noqa: E402

PORT = 3478
# turnd looks again every minute, and every 5 seconds while it knows nothing.
FOLLOWS_IN = 90.0


class ExternalIp(testing.TestCase):
    """turnd on the inner host; clients and peers outside."""

    def setUp(self):
        super().setUp()
        self.world = lab.make(self, lab.OneToOneNat)

    def start_turnd(self, *options, hosts=None, **process):
        prefix = lab.with_hosts(self.world.relay, hosts) if hosts else self.world.relay.inside([])
        return self.started(servers.Turnd(
            *options, common=('-n', '--pidfile=', f'--realm={servers.REALM}', '--relay-threads=2'),
            listener=(f'--listening-ip={RELAY_IP}', f'--listening-port={PORT}'), prefix=prefix, **process))

    def start_stun_server(self, wait=True):
        server = self.started(processes.Process(
            ['stdbuf', '-oL', 'turnserver', '-n', '--stun-only', f'--listening-ip={STUN_IP}', f'--listening-port={PORT}',
             '--no-tls', '--no-dtls', '--no-cli', '--log-file=stdout', f'--userdb={self.path("turndb")}',
             f'--pidfile={self.path("stun.pid")}'], prefix=self.world.outside.inside([])))
        if wait:
            with self.client(STUN_IP, timeout=20) as client:
                client.binding()
        return server

    def client(self, server, **options):
        client = turn.Client((server, PORT), servers.USER, servers.PASSWORD,
                             sock=lab.socket_in(self.world.outside, CLIENT_IP), **options)
        self.addCleanup(client.socket.close)
        return client

    def allocated(self, public, **options):
        """A client outside with an allocation, whose relayed address must be public."""
        client = self.client(public, **options)
        client.allocate()
        self.assertEqual(client.relayed[0][0], public)
        self.assertEqual(client.mapped, client.socket.getsockname())
        return client

    def check_relay(self, public):
        """Data goes both ways between a peer outside and the relayed address that the client was told; and between two
        clients that know each other by what they were told."""
        client = self.allocated(public)
        peer = lab.socket_in(self.world.outside, STUN_IP)
        self.addCleanup(peer.close)
        peer.settimeout(10)
        client.permit(STUN_IP)
        client.send(peer.getsockname(), b'out')
        self.assertEqual(peer.recvfrom(100), (b'out', client.relayed[0]))
        peer.sendto(b'in', client.relayed[0])
        self.assertEqual(client.receive(), (peer.getsockname(), b'in', None))

        other = self.allocated(public)
        client.bind(0x4001, other.relayed[0])
        other.permit(public)
        client.send_channel(0x4001, b'hairpin')
        self.assertEqual(other.receive(), (client.relayed[0], b'hairpin', None))
        other.send(client.relayed[0], b'and back')
        self.assertEqual(client.receive(), (other.relayed[0], b'and back', 0x4001))

    def wait_for_relay(self, public, told):
        """Until new allocations at `public` are told the address `told`."""

        def look():
            with self.client(public) as client:
                client.allocate()
                client.delete()
                return client.relayed[0][0] == told

        processes.until(look, f'{told} as relayed address', timeout=20, every=0.1)

    @testing.case(labels=['lab'])
    def test_without_it_a_warning_suggests_the_line(self):
        turnd = self.start_turnd()
        warnings = [line for line in turnd.lines() if ' WARNING ' in line]
        self.assertEqual(len(warnings), 1, turnd.output())
        for text in (RELAY_IP, '1:1 NAT', 'external-ip=auto', f'external-ip=PUBLIC/{RELAY_IP}'):
            self.assertIn(text, warnings[0])

    @testing.case(labels=['lab'])
    def test_the_suggested_lines_work(self):
        self.start_stun_server()
        hosts = self.write('hosts', f'{STUN_IP} stun.global.calls.mattermost.com\n')
        for line in ('auto', f'{PUBLIC_IPS[0]}/{RELAY_IP}'):
            with self.subTest(line):
                turnd = self.start_turnd(f'--external-ip={line}', hosts=hosts)
                self.assertNotIn(' WARNING ', turnd.output())
                self.check_relay(PUBLIC_IPS[0])
                self.assertEqual(turnd.stop(), 0)

    @testing.case(labels=['lab'])
    def test_plain_address(self):
        self.start_turnd(f'--external-ip={PUBLIC_IPS[0]}')
        self.check_relay(PUBLIC_IPS[0])

    @testing.case(labels=['lab'])
    def test_with_private_peers_denied(self):
        """The relay's own private address is still reachable by its public name."""
        self.start_turnd(f'--external-ip={PUBLIC_IPS[0]}', '--no-private-peers')
        self.check_relay(PUBLIC_IPS[0])

    @testing.case(labels=['lab'])
    def test_named_stun_server(self):
        self.start_stun_server()
        turnd = self.start_turnd(f'--external-ip=auto:{STUN_IP}:{PORT}')
        self.assertRegex(turnd.output(), rf'external-ip: {RELAY_IP} is {PUBLIC_IPS[0]} from outside')
        self.check_relay(PUBLIC_IPS[0])

    @testing.case(labels=['lab'])
    def test_host_name(self):
        hosts = self.write('hosts', f'{PUBLIC_IPS[0]} relay.test.example\n')
        self.start_turnd('--external-ip=relay.test.example', hosts=hosts)
        self.check_relay(PUBLIC_IPS[0])

    @testing.case(labels=['lab'])
    def test_starts_without_the_stun_server_and_takes_its_answer_later(self):
        began = time.monotonic()
        turnd = self.start_turnd(f'--external-ip=auto:{STUN_IP}:{PORT}')
        self.assertLess(time.monotonic() - began, 15)
        warning = turnd.wait_for(r'WARNING external-ip: .*')[0]
        self.assertIn(STUN_IP, warning)
        self.allocated_privately(PUBLIC_IPS[0])
        self.start_stun_server()
        turnd.wait_for(rf'external-ip: {RELAY_IP} is {PUBLIC_IPS[0]} from outside', timeout=30)
        self.wait_for_relay(PUBLIC_IPS[0], PUBLIC_IPS[0])
        self.assertEqual(len([line for line in turnd.lines() if ' WARNING external-ip' in line]), 1, turnd.output())

    def allocated_privately(self, public):
        client = self.client(public)
        client.allocate()
        self.assertEqual(client.relayed[0][0], RELAY_IP)

    @testing.case(labels=['lab'])
    def test_name_that_cannot_be_resolved_yet(self):
        hosts = self.write('hosts', '127.0.0.1 localhost\n')
        turnd = self.start_turnd('--external-ip=relay.test.example', hosts=hosts)
        self.assertRegex(turnd.output(), r'WARNING external-ip: .*relay\.test\.example')
        self.write('hosts', f'{PUBLIC_IPS[0]} relay.test.example\n')
        turnd.wait_for(rf'external-ip: {RELAY_IP} is {PUBLIC_IPS[0]} from outside', timeout=60)
        self.wait_for_relay(PUBLIC_IPS[0], PUBLIC_IPS[0])

    @testing.case(labels=['lab'])
    def test_term_while_the_stun_server_is_silent(self):
        self.world.router.filter('forward', f'ip daddr {STUN_IP} counter drop')

        def questions():
            listed = self.world.router.run(['nft', 'list', 'table', 'inet', 'lab']).stdout
            return int(re.search(r'counter packets (\d+)', listed)[1])

        turnd = self.start_turnd(f'--external-ip=auto:{STUN_IP}:{PORT}')
        asked = questions()
        self.assertGreater(asked, 1)
        processes.until(lambda: questions() > asked, 'the next question to the STUN server')
        began = time.monotonic()  # it would wait 5 s for an answer now
        self.assertEqual(turnd.stop(), 0, turnd.output())
        self.assertLess(time.monotonic() - began, 2.5)

    @testing.case(timeout=170, labels=['lab'])
    def test_changes_are_followed(self):
        """The public address changes, by NAT for `auto` and by DNS for the name: new allocations are told the new one,
        and old ones go on."""
        self.start_stun_server()
        old, new = PUBLIC_IPS
        hosts = self.write('hosts', f'{old} relay.test.example\n')
        by_stun = self.start_turnd(f'--external-ip=auto:{STUN_IP}:{PORT}')
        by_name = self.started(servers.Turnd(
            '--external-ip=relay.test.example', common=('-n', '--pidfile=', f'--realm={servers.REALM}'),
            listener=(f'--listening-ip={RELAY_IP}', '--listening-port=3479'),
            prefix=lab.with_hosts(self.world.relay, hosts)))
        before = self.allocated(old)
        self.write('hosts', f'{new} relay.test.example\n')
        self.world.translate(new)
        for turnd in (by_stun, by_name):
            turnd.wait_for(rf'external-ip: {RELAY_IP} is {new} from outside', timeout=FOLLOWS_IN)
        self.wait_for_relay(new, new)
        self.check_relay(new)
        before.server = (new, PORT)
        before.refresh()
        for turnd in (by_stun, by_name):
            self.assertNotIn(' WARNING ', turnd.output())
            self.assertEqual(turnd.stop(), 0)


if __name__ == '__main__':
    testing.main()
