#!/usr/bin/python3
"""turnd under many clients and under garbage: what it takes it gives back, and it goes on serving."""

import os
import random
import re
import resource
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import servers, testing, turn  # noqa: E402

ALLOCATIONS = 2000
SEED = int(os.environ.get('TURNKIT_SEED', random.SystemRandom().randrange(1 << 32)))


class Robustness(testing.TestCase):
    """Memory, descriptors and counters."""

    def setUp(self):
        super().setUp()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 3 * ALLOCATIONS:
            self.skipTest(f'needs {3 * ALLOCATIONS} file descriptors, may have {hard}')
        resource.setrlimit(resource.RLIMIT_NOFILE, (3 * ALLOCATIONS, hard))

    def check_serves(self, turnd):
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as client:
            client.allocate()
            client.delete()

    def check_growth(self, turnd, kib, limit, when):
        if not turnd.sanitized():
            self.assertLess(kib, limit, f'KiB more {when}')

    def fill_and_empty(self, turnd, count):
        """The resident KiB with `count` allocations, each with a permission and a channel, and with none again."""
        clients = [turn.Client(turnd.address, servers.USER, servers.PASSWORD) for _ in range(count)]
        try:
            relayed = set()
            for number, client in enumerate(clients):
                relayed.add(client.allocate())
                client.bind(0x4000 + number % 1000, ('127.0.0.1', 9))
            self.assertEqual(len(relayed), count, 'two allocations share a relayed address')
            full = turnd.resident_kib()
            for client in clients:
                self.assertEqual(client.delete(), 0)
        finally:
            for client in clients:
                client.socket.close()
        return full, turnd.resident_kib()

    @testing.case(timeout=120)
    def test_allocations_are_given_back_whole(self):
        turnd = self.started(servers.Turnd(f'--total-quota={ALLOCATIONS}', f'--user-quota={ALLOCATIONS}',
                                           '--sock-buf-size=0', '--relay-threads=1'))
        self.fill_and_empty(turnd, 50)  # what is allocated once only
        start, descriptors = turnd.resident_kib(), turnd.descriptors()
        # For 40 s it remembers what was deleted, up to a bound that some rounds reach.
        rounds = [self.fill_and_empty(turnd, ALLOCATIONS) for _ in range(8)]
        print(f'resident: {start} KiB at first, then with {ALLOCATIONS} allocations and without: {rounds}')
        self.assertEqual(turnd.descriptors(), descriptors)
        self.check_growth(turnd, rounds[-1][1] - rounds[5][1], 512, 'after two more rounds: a leak')
        self.check_growth(turnd, rounds[-1][1] - start, 6 * 1024, 'than at first')
        self.check_growth(turnd, rounds[0][0] - start, 8 * ALLOCATIONS, 'for all allocations')
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as client:
            client.allocate()
            self.assertEqual(turnd.stop(), 0)
        self.assertIn('shutting down: 1 allocations end', turnd.output())

    @testing.case(timeout=120)
    def test_strangers_leave_no_state(self):
        turnd = self.started(servers.Turnd())
        self.check_serves(turnd)
        start, descriptors = turnd.resident_kib(), turnd.descriptors()
        refused = 0
        for number in range(ALLOCATIONS):
            user = servers.USER if number % 2 else f'stranger {number}'
            with turn.Client(turnd.address, user, 'a guess') as client:
                with self.assertRaises(turn.Refused) as caught:
                    client.allocate()
                refused += caught.exception.code == 401
        self.assertEqual(refused, ALLOCATIONS)
        self.assertEqual(turnd.descriptors(), descriptors)
        self.check_growth(turnd, turnd.resident_kib() - start, 1024, 'after requests of strangers')
        self.check_serves(turnd)

    @testing.case(timeout=120)
    def test_garbage_is_dropped_and_counted(self):
        print(f'TURNKIT_SEED={SEED}')
        rng = random.Random(SEED)
        turnd = self.started(servers.Turnd())
        self.check_serves(turnd)
        start = turnd.resident_kib()
        with turn.Client(turnd.address, servers.USER, servers.PASSWORD) as client, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            client.allocate()
            client.permit('127.0.0.1')
            good = turn.build(turn.Method.REFRESH, turn.Class.REQUEST, bytes(12), client._credentials(),  # pylint: disable=protected-access
                              turn.Attr.MESSAGE_INTEGRITY, client._key())  # pylint: disable=protected-access
            for number in range(20000):
                datagram = self.garbage(rng, good)
                (stranger if number % 2 else client.socket).sendto(datagram, turnd.address)
                if number % 200 == 0:
                    self.assertIsNone(turnd.returncode, turnd.output())
                    drain(stranger)
                    drain(client.socket)
            client.received.clear()
            self.check_serves(turnd)
        self.check_growth(turnd, turnd.resident_kib() - start, 4096, 'after garbage')
        self.assertEqual(turnd.stop(), 0, turnd.output())
        dropped = sum(int(count) for line in turnd.lines() if 'dropped:' in line
                      for count in re.findall(r'=(\d+)', line))
        self.assertGreater(dropped, 5000, turnd.output())

    @staticmethod
    def garbage(rng, good):
        kind = rng.randrange(5)
        if kind == 0:
            return rng.randbytes(rng.choice((0, 1, 3, 19, 20, 100, 1500)))
        if kind == 1:  # a STUN header over random attributes
            body = rng.randbytes(4 * rng.randrange(60))
            return struct.pack('!HHI', rng.randrange(0x4000), len(body), turn.COOKIE) + rng.randbytes(12) + body
        if kind == 2:  # ChannelData of any length
            return struct.pack('!HH', rng.randrange(0x4000, 0x8000), rng.randrange(65536)) + rng.randbytes(rng.randrange(200))
        if kind == 3:  # a good request with some bytes changed
            spoilt = bytearray(good)
            for _ in range(rng.randrange(1, 5)):
                spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
            return bytes(spoilt)
        return good[:rng.randrange(len(good))]


def drain(sock):
    """Takes what is in the socket's queue, so that it does not fill."""
    sock.setblocking(False)
    try:
        while True:
            sock.recv(65536)
    except BlockingIOError:
        pass


if __name__ == '__main__':
    testing.main()
