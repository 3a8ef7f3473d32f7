#!/usr/bin/python3
"""What turnd serves, seen from its sockets: authentication, limits, peers, addresses; with a client of our own that
shares no code with it."""

import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import processes, servers, testing, turn, uclient  # noqa: E402
from lib.turn import Algorithm, Attr  # noqa: E402


class ServiceCase(testing.TestCase):
    """A test with servers, clients and peers of its own."""

    def client(self, server, user=servers.USER, password=servers.PASSWORD, **options):
        client = turn.Client(server, user, password, **options)
        self.addCleanup(client.socket.close)
        return client

    def peer(self, ip='127.0.0.1'):
        peer = servers.EchoSocket(ip)
        self.addCleanup(peer.close)
        return peer

    def check_data(self, client, peer):
        """Data goes both ways, by indications and by a channel."""
        relayed = next(address for address in client.relayed if (':' in address[0]) == (':' in peer.address[0]))
        client.permit(peer.address[0])
        client.send(peer.address, b'by indication')
        self.assertEqual(peer.receive(), (b'by indication', relayed))
        peer.send(b'answer', relayed)
        self.assertEqual(client.receive(), (peer.address, b'answer', None))
        client.bind(0x4001, peer.address)
        client.send_channel(0x4001, b'by channel')
        self.assertEqual(peer.receive(), (b'by channel', relayed))
        peer.send(b'answer', relayed)
        self.assertEqual(client.receive(), (peer.address, b'answer', 0x4001))

    def refused(self, code, call, *arguments, **options):
        with self.assertRaises(turn.Refused) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.code, code)
        return caught.exception.response


class Authentication(ServiceCase):
    """Users and secrets, old clients and new ones, on one server."""

    @testing.case()
    def test_every_kind_of_client_on_one_server(self):
        turnd = self.started(servers.Turnd())
        secret_user = turn.rest_credentials(servers.SECRET, 'bob')
        for algorithm in Algorithm:
            for user, password in ((servers.USER, servers.PASSWORD), secret_user):
                if algorithm == Algorithm.SHA256_USERHASH and user != servers.USER:
                    continue  # a REST user name is in no list that a hash could be compared with
                with self.subTest(f'{algorithm.value}; {user}'):
                    client = self.client(turnd.address, user, password, algorithm=algorithm)
                    client.allocate()
                    self.check_data(client, self.peer())
                    self.assertEqual(client.delete(), 0)
        outcome = uclient.run(turnd.address, '-y', '-c', '-n', '5', '-u', servers.USER, '-w', servers.PASSWORD)
        self.assertTrue(outcome.complete, outcome)

    @testing.case()
    def test_wrong_credentials_are_refused(self):
        turnd = self.started(servers.Turnd())
        expired = turn.rest_credentials(servers.SECRET, 'bob', lifetime=-60)
        foreign = turn.rest_credentials('another secret', 'bob')
        for algorithm in Algorithm:
            for user, password in ((servers.USER, 'wrong'), ('nobody', servers.PASSWORD), expired, foreign):
                with self.subTest(f'{algorithm.value}; {user}'):
                    client = self.client(turnd.address, user, password, algorithm=algorithm)
                    self.refused(401, client.allocate)

    @testing.case()
    def test_every_secret_of_several_counts(self):
        turnd = self.started(servers.Turnd('--static-auth-secret=south', '--static-auth-secret=west'))
        for secret in (servers.SECRET, 'south', 'west'):
            self.client(turnd.address, *turn.rest_credentials(secret, 'bob')).allocate()

    @testing.case()
    def test_a_secret_user_may_have_no_name(self):
        turnd = self.started(servers.Turnd())
        self.client(turnd.address, *turn.rest_credentials(servers.SECRET)).allocate()

    @testing.case()
    def test_another_separator(self):
        turnd = self.started(servers.Turnd('--rest-api-separator=!'))
        self.client(turnd.address, *turn.rest_credentials(servers.SECRET, 'bob', separator='!')).allocate()

    @testing.case()
    def test_user_with_a_key_made_by_coturns_turnadmin(self):
        made = processes.run(['turnadmin', '-k', '-u', 'carol', '-p', 'looking glass', '-r', servers.REALM], timeout=20)
        key = next(line for line in made.lines('out') if line.startswith('0x'))
        turnd = self.started(servers.Turnd(f'--user=carol:{key}'))
        self.client(turnd.address, 'carol', 'looking glass').allocate()

    @testing.case()
    def test_without_authentication(self):
        turnd = self.started(servers.Turnd('--no-auth', credentials=()))
        client = self.client(turnd.address, None, None)
        client.allocate()
        self.check_data(client, self.peer())

    @testing.case()
    def test_expired_nonce_is_renewed(self):
        turnd = self.started(servers.Turnd('--stale-nonce=1'))
        client = self.client(turnd.address)
        client.allocate()
        first = client.nonce
        processes.until(lambda: client.refresh() and client.nonce != first, 'a 438 with a new nonce', every=0.2)

    @testing.case()
    def test_another_servers_nonce_counts_with_a_shared_secret(self):
        one, two = (self.started(servers.Turnd('--stateless-nonce-secret=fleet')) for _ in range(2))
        first = self.client(one.address)
        first.allocate()
        second = self.client(two.address)
        second.socket.close()
        second.socket = first.socket  # nonces belong to an address
        second.realm, second.nonce = first.realm, first.nonce
        second.allocate()
        self.assertEqual(second.nonce, first.nonce, 'the second server asked for a nonce of its own')

    @testing.case()
    def test_allocation_belongs_to_its_user(self):
        turnd = self.started(servers.Turnd('--user=bob:builder'))
        client = self.client(turnd.address)
        client.allocate()
        client.user, client.password = 'bob', 'builder'
        self.refused(441, client.refresh)


class Limits(ServiceCase):
    """Quotas, rates and lifetimes."""

    @testing.case()
    def test_user_quota(self):
        turnd = self.started(servers.Turnd('--user-quota=2', '--user=bob:builder'))
        clients = [self.client(turnd.address) for _ in range(3)]
        for client in clients[:2]:
            client.allocate()
        self.refused(486, clients[2].allocate)
        self.client(turnd.address, 'bob', 'builder').allocate()
        clients[0].delete()
        clients[2].allocate()

    @testing.case()
    def test_user_quota_counts_a_secrets_user_over_its_credentials(self):
        turnd = self.started(servers.Turnd('--user-quota=2'))
        for lifetime in (100, 200):
            self.client(turnd.address, *turn.rest_credentials(servers.SECRET, 'bob', lifetime)).allocate()
        self.refused(486, self.client(turnd.address, *turn.rest_credentials(servers.SECRET, 'bob', 300)).allocate)
        self.client(turnd.address, *turn.rest_credentials(servers.SECRET, 'carol', 300)).allocate()

    @testing.case()
    def test_total_quota(self):
        turnd = self.started(servers.Turnd('--total-quota=2', '--user=bob:builder'))
        first = self.client(turnd.address)
        first.allocate()
        self.client(turnd.address, 'bob', 'builder').allocate()
        third = self.client(turnd.address)
        self.refused(486, third.allocate)
        first.delete()
        third.allocate()

    @testing.case()
    def test_capacity_is_shared_out(self):
        turnd = self.started(servers.Turnd('--max-bps=1000', '--bps-capacity=2000'))
        for _ in range(2):
            self.client(turnd.address).allocate()
        self.refused(486, self.client(turnd.address).allocate)

    @testing.case()
    def test_max_bps_limits_each_direction(self):
        rate, seconds = 50_000, 2.0
        turnd = self.started(servers.Turnd(f'--max-bps={rate}'))
        client, peer = self.client(turnd.address), self.peer()
        relayed = client.allocate()
        client.bind(0x4000, peer.address)
        for sent, received in ((lambda data: client.send_channel(0x4000, data), lambda: peer.receive(0.3)[0]),
                               (lambda data: peer.send(data, relayed), lambda: client.receive(0.3)[1])):
            got, began = self.flood(sent, received, seconds, size=500, per_second=4 * rate)
            elapsed = time.monotonic() - began
            # A burst of at most a second's worth comes on top.
            self.assertLess(got, rate * (elapsed + 1.5), f'{got} bytes in {elapsed:.1f} s')
            self.assertGreater(got, rate * seconds * 0.5, f'{got} bytes in {elapsed:.1f} s')

    @staticmethod
    def flood(send, receive, seconds, size, per_second):
        """Sends steadily; the bytes that came, and when it began."""
        began = time.monotonic()
        done = threading.Event()

        def sender():
            sent = 0
            while (now := time.monotonic() - began) < seconds:
                while sent < now * per_second:
                    send(bytes(size))
                    sent += size
                time.sleep(0.005)
            done.set()

        thread = threading.Thread(target=sender)
        thread.start()
        got = 0
        while True:
            try:
                got += len(receive())
            except (turn.NoAnswer, OSError):
                if done.is_set():
                    break
        thread.join()
        return got, began

    @testing.case()
    def test_lifetime_is_bounded(self):
        turnd = self.started(servers.Turnd('--max-allocate-lifetime=1000'))
        client = self.client(turnd.address)
        client.allocate(lifetime=50)
        self.assertEqual(client.lifetime, 600)
        self.assertEqual(client.refresh(999_999), 1000)

    @testing.case()
    def test_permission_ends_without_refresh(self):
        turnd = self.started(servers.Turnd('--permission-lifetime=1', '--verbose'))
        client, peer = self.client(turnd.address), self.peer()
        relayed = client.allocate()
        client.permit(peer.address[0])
        turnd.wait_for(r'peer 127\.0\.0\.1 deleted')
        peer.send(b'late', relayed)
        client.send(peer.address, b'late')
        self.assertTrue(client.silent())
        with self.assertRaises(TimeoutError):
            peer.receive(0.3)

    @testing.case()
    def test_relay_ports_stay_in_their_range_and_run_out_properly(self):
        turnd = self.started(servers.Turnd('--min-port=50100', '--max-port=50103'))
        ports = set()
        for _ in range(5):
            client = self.client(turnd.address)
            try:
                ports.add(client.allocate()[1])
            except turn.Refused as refused:
                self.assertEqual(refused.code, 508)
                break
        else:
            self.fail('five allocations out of four ports')
        self.assertTrue(ports and ports <= set(range(50100, 50104)), ports)


class Peers(ServiceCase):
    """Whom clients may reach, and what the administrator learns about it."""

    # The relay's own ports are always allowed, so where a peer on this host is denied they must not be those that the
    # system gives to peers.
    HIGH_PORTS = ('--min-port=61100', '--max-port=65535')

    @testing.case()
    def test_denied_peer_is_explained_once(self):
        turnd = self.started(servers.Turnd('--denied-peer-ip=10.0.0.0-10.0.0.255'))
        clients = [self.client(turnd.address) for _ in range(3)]
        for client in clients:
            client.allocate()
            self.refused(403, client.permit, '10.0.0.7')
            self.refused(403, client.bind, 0x4000, ('10.0.0.7', 8443))
        self.refused(403, clients[0].permit, '10.0.0.8')
        turnd.wait_for(r'peer 10\.0\.0\.8')
        self.assertEqual(turnd.stop(), 0)
        lines = [line for line in turnd.lines() if '10.0.0.7' in line]
        self.assertEqual(len(lines), 1, turnd.output())
        self.assertRegex(lines[0], r'WARNING .*peer 10\.0\.0\.7 is denied.*denied-peer-ip=10\.0\.0\.0.*'
                                   r'this line would allow it: allowed-peer-ip=10\.0\.0\.7')

    @testing.case()
    def test_the_line_that_the_log_suggests_allows_the_peer(self):
        options = ('--denied-peer-ip=0.0.0.0/0', *self.HIGH_PORTS)
        turnd = self.started(servers.Turnd(*options))
        peer = self.peer()
        client = self.client(turnd.address)
        client.allocate()
        self.refused(403, client.bind, 0x4000, peer.address)
        line = turnd.wait_for(r'this line would allow it: (\S+)')[1]
        allowing = self.started(servers.Turnd(*options, f'--{line}'))
        client = self.client(allowing.address)
        client.allocate()
        self.check_data(client, peer)

    @testing.case()
    def test_special_addresses_are_denied_by_default(self):
        turnd = self.started(servers.Turnd(common=('-n', '--pidfile=', f'--realm={servers.REALM}')))
        client = self.client(turnd.address)
        client.allocate()
        for ip in ('127.0.0.1', '127.8.9.10', '0.0.0.1', '169.254.169.254', '224.0.0.1', '255.255.255.255'):
            with self.subTest(ip):
                self.refused(403, client.permit, ip)

    @testing.case()
    def test_own_listener_is_no_peer(self):
        turnd = self.started(servers.Turnd())
        client = self.client(turnd.address)
        client.allocate()
        self.refused(403, client.bind, 0x4000, turnd.address)
        client.permit(turnd.address[0])
        client.send(turnd.address, turn.build(turn.Method.BINDING, turn.Class.REQUEST, bytes(12), []))
        self.assertTrue(client.silent())

    @testing.case()
    def test_only_peer_with_a_port(self):
        peer, other = self.peer(), self.peer()
        turnd = self.started(servers.Turnd(*self.HIGH_PORTS, f'--only-peer-ip=127.0.0.1:{peer.address[1]}'))
        client = self.client(turnd.address)
        client.allocate()
        self.check_data(client, peer)
        self.refused(403, client.bind, 0x4002, other.address)
        client.send(other.address, b'not for you')
        with self.assertRaises(TimeoutError):
            other.receive(0.3)
        self.refused(403, client.permit, '127.0.0.2')

    @testing.case()
    def test_unreachable_peer_is_reported_to_the_client(self):
        """RFC 8656, section 11.5: an ICMP error comes back as a Data indication with ICMP."""
        turnd = self.started(servers.Turnd())
        client, peer = self.client(turnd.address), self.peer()
        client.allocate()
        client.permit(peer.address[0])
        closed = peer.address
        peer.close()
        client.send(closed, b'is anybody there?')
        raw = client._read(10)  # pylint: disable=protected-access
        self.assertIsNotNone(raw, 'no ICMP report')
        report = turn.Message(raw)
        self.assertEqual((report.method, report.cls), (turn.Method.DATA, turn.Class.INDICATION))
        self.assertEqual(report.address(Attr.XOR_PEER_ADDRESS), closed)
        self.assertEqual(report.find(0x8004)[2:4], b'\x03\x03', 'ICMP type 3 code 3: port unreachable')


class Addresses(ServiceCase):
    """Listeners, relay addresses and what clients are told."""

    @testing.case()
    def test_wildcard_listener_answers_from_the_address_that_was_asked(self):
        turnd = self.started(servers.Turnd('--relay-ip=127.0.0.1', listener=('--listening-ip=0.0.0.0', '--listening-port=0')))
        port = turnd.port_on('0.0.0.0')
        for ip in ('127.0.0.1', '127.0.0.2', '127.3.2.1'):
            with self.subTest(ip):
                client = self.client((ip, port))  # an answer from another address is an error there
                self.assertEqual(client.binding(), ('127.0.0.1', client.socket.getsockname()[1]))
                client.allocate()
                self.check_data(client, self.peer())

    @testing.case()
    def test_ipv6_wildcard_listener(self):
        turnd = self.started(servers.Turnd('--relay-ip=127.0.0.1', listener=('--listening-ip=::', '--listening-port=0')))
        client = self.client(('::1', turnd.port_on('::')))
        client.allocate()
        self.check_data(client, self.peer())

    @testing.case()
    def test_ipv6_listener_and_relay(self):
        turnd = self.started(servers.Turnd(listener=('--listening-ip=::1', '--listening-port=0')))
        client = self.client(turnd.address)
        self.assertEqual(client.binding(), ('::1', client.socket.getsockname()[1]))
        client.allocate(family=turn.IPV6)
        self.assertEqual(client.relayed[0][0], '::1')
        self.check_data(client, self.peer('::1'))

    @testing.case()
    def test_ipv6_client_of_an_ipv4_relay_and_the_other_way(self):
        turnd = self.started(servers.Turnd(
            listener=('--listening-ip=::1', '--listening-ip=127.0.0.1', '--listening-port=0')))
        over_ipv6 = self.client(('::1', turnd.port_on('::1')))
        over_ipv6.allocate()
        self.assertEqual(over_ipv6.relayed[0][0], '127.0.0.1')
        self.check_data(over_ipv6, self.peer())
        over_ipv4 = self.client(('127.0.0.1', turnd.port_on('127.0.0.1')))
        over_ipv4.allocate(family=turn.IPV6)
        self.assertEqual(over_ipv4.relayed[0][0], '::1')
        self.check_data(over_ipv4, self.peer('::1'))

    @testing.case()
    def test_dual_allocation(self):
        turnd = self.started(servers.Turnd('--relay-ip=127.0.0.1', '--relay-ip=::1'))
        client = self.client(turnd.address)
        client.allocate(dual=True)
        self.assertEqual([ip for ip, _ in client.relayed], ['127.0.0.1', '::1'])
        self.check_data(client, self.peer())
        client.channels.clear()
        peer = self.peer('::1')
        client.permit('::1')
        client.bind(0x4002, peer.address)
        client.send_channel(0x4002, b'over IPv6')
        self.assertEqual(peer.receive(), (b'over IPv6', client.relayed[1]))

    @testing.case()
    def test_dual_allocation_by_the_number_of_coturns_clients(self):
        """turnutils_uclient -Z sends 0x8032 for ADDITIONAL-ADDRESS-FAMILY, and knows 0x8033 for ADDRESS-ERROR-CODE."""
        ask = [(Attr.REQUESTED_TRANSPORT, b'\x11\0\0\0'), (0x8032, b'\x02\0\0\0')]
        turnd = self.started(servers.Turnd('--relay-ip=127.0.0.1', '--relay-ip=::1'))
        answer = self.client(turnd.address).request(turn.Method.ALLOCATE, ask)
        self.assertEqual([ip for ip, _ in answer.addresses(Attr.XOR_RELAYED_ADDRESS)], ['127.0.0.1', '::1'])
        turnd = self.started(servers.Turnd())
        answer = self.client(turnd.address).request(turn.Method.ALLOCATE, ask)
        self.assertEqual(answer.find(0x8033)[:4], b'\x02\0\x04\x28', 'IPv6, error 440')
        self.assertIsNone(answer.find(Attr.ADDRESS_ERROR_CODE))

    @testing.case()
    def test_family_that_the_relay_lacks(self):
        turnd = self.started(servers.Turnd())
        self.refused(440, self.client(turnd.address).allocate, family=turn.IPV6)
        client = self.client(turnd.address)
        client.allocate(dual=True)
        self.assertEqual([ip for ip, _ in client.relayed], ['127.0.0.1'])

    @testing.case()
    def test_default_family_options(self):
        listener = ('--listening-ip=::1', '--listening-ip=127.0.0.1', '--listening-port=0')
        for option, over_ipv4, over_ipv6 in (('--allocation-default-address-family=ipv6', '::1', '::1'),
                                             ('--allocation-default-address-family=keep', '127.0.0.1', '::1'),
                                             ('--keep-address-family', '127.0.0.1', '::1')):
            with self.subTest(option):
                turnd = self.started(servers.Turnd(option, listener=listener))
                for ip, relayed in (('127.0.0.1', over_ipv4), ('::1', over_ipv6)):
                    self.assertEqual(self.client((ip, turnd.port_on(ip))).allocate()[0], relayed)

    @testing.case()
    def test_relay_to_relay_on_one_server(self):
        turnd = self.started(servers.Turnd())
        one, two = self.client(turnd.address), self.client(turnd.address)
        one.allocate()
        two.allocate()
        one.permit(two.relayed[0])
        two.bind(0x4005, one.relayed[0])
        one.send(two.relayed[0], b'hello')
        self.assertEqual(two.receive(), (one.relayed[0], b'hello', 0x4005))
        two.send_channel(0x4005, b'hello yourself')
        self.assertEqual(one.receive(), (two.relayed[0], b'hello yourself', None))

    @testing.case()
    def test_reserved_port(self):
        turnd = self.started(servers.Turnd())
        first = self.client(turnd.address)
        ip, port = first.allocate(even_port='reserve')
        self.assertEqual(port % 2, 0)
        second = self.client(turnd.address)
        self.assertEqual(second.allocate(token=first.reservation_token), (ip, port + 1))

    @testing.case()
    def test_external_ip_is_told_and_understood(self):
        """Clients are told the public address; a peer named by it is this host, so two clients of it meet here."""
        turnd = self.started(servers.Turnd('--external-ip=203.0.113.9/127.0.0.1'))
        one, two = self.client(turnd.address), self.client(turnd.address)
        for client in (one, two):
            self.assertEqual(client.allocate()[0], '203.0.113.9')
        one.permit('203.0.113.9')
        two.bind(0x4005, one.relayed[0])
        one.send(two.relayed[0], b'through the hairpin')
        self.assertEqual(two.receive(), (one.relayed[0], b'through the hairpin', 0x4005))
        two.send_channel(0x4005, b'and back')
        self.assertEqual(one.receive(), (two.relayed[0], b'and back', None))

    @testing.case()
    def test_external_ip_leaves_loopback_alone_unless_it_names_it(self):
        turnd = self.started(servers.Turnd('--external-ip=203.0.113.9'))
        self.assertEqual(self.client(turnd.address).allocate()[0], '127.0.0.1')

    @testing.case()
    def test_external_ip_pairs_map_each_their_own(self):
        turnd = self.started(servers.Turnd('--external-ip=203.0.113.9/127.0.0.1', '--external-ip=2001:db8::9/::1',
                                           '--relay-ip=127.0.0.1', '--relay-ip=::1'))
        client = self.client(turnd.address)
        client.allocate(dual=True)
        self.assertEqual([ip for ip, _ in client.relayed], ['203.0.113.9', '2001:db8::9'])

    @testing.case()
    def test_big_datagrams(self):
        turnd = self.started(servers.Turnd())
        client, peer = self.client(turnd.address), self.peer()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        relayed = client.allocate()
        client.bind(0x4000, peer.address)
        for size in (0, 1, 3, 1472, 9000, 65507 - 4):
            data = os.urandom(size)
            client.send_channel(0x4000, data)
            self.assertEqual(peer.receive(), (data, relayed))
            peer.send(data, relayed)
            self.assertEqual(client.receive(), (peer.address, data, 0x4000))


class Answers(ServiceCase):
    """Options that change what an answer carries."""

    @testing.case()
    def test_fingerprint_option(self):
        for options, wanted in (((), False), (('--fingerprint',), True)):
            with self.subTest(options):
                turnd = self.started(servers.Turnd(*options))
                answer = self.client(turnd.address).request(turn.Method.BINDING, authenticated=False)
                self.assertEqual(answer.check_fingerprint(), wanted)

    @testing.case()
    def test_software_goes_to_authenticated_clients_only(self):
        """Strangers get short answers, so that the server is no amplifier."""
        for options, wanted in (((), False), (('--software-attribute',), True)):
            with self.subTest(options):
                turnd = self.started(servers.Turnd(*options))
                client = self.client(turnd.address)
                binding = client.request(turn.Method.BINDING, authenticated=False)
                self.assertIsNone(binding.find(Attr.SOFTWARE))
                client.allocate()
                answer = client.request(turn.Method.REFRESH)
                self.assertEqual(answer.find(Attr.SOFTWARE) is not None, wanted)

    @testing.case()
    def test_fingerprint_is_returned_to_who_sends_it(self):
        turnd = self.started(servers.Turnd())
        client = self.client(turnd.address)
        client.fingerprint = True
        self.assertTrue(client.request(turn.Method.BINDING, authenticated=False).check_fingerprint())
        client.allocate()

    @testing.case()
    def test_no_stun_and_stun_only(self):
        turnd = self.started(servers.Turnd('--no-stun'))
        with self.assertRaises(turn.NoAnswer):
            self.client(turnd.address, timeout=0.5).binding()
        self.client(turnd.address).allocate()
        turnd = self.started(servers.Turnd('--stun-only'))
        self.client(turnd.address).binding()
        with self.assertRaises(turn.NoAnswer):
            self.client(turnd.address, timeout=0.5).allocate()

    @testing.case()
    def test_coturns_stun_client(self):
        turnd = self.started(servers.Turnd())
        run = processes.run(['turnutils_stunclient', '-p', turnd.address[1], turnd.address[0]], timeout=30)
        self.assertRegex(run.output(), r'UDP reflexive addr: 127\.0\.0\.1:\d+')


if __name__ == '__main__':
    testing.main()
