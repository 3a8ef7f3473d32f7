"""Hosts in network namespaces (tests/lab/netlab.py) for tests with servers and clients in Python: sockets that live in a
host, and turnd behind a 1:1 NAT."""

import ctypes
import os
import socket
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'lab'))

import netlab  # noqa: E402

CLONE_NEWNET = 0x40000000

RELAY_IP = '10.88.0.2'
STUN_IP = '203.0.113.100'
CLIENT_IP = '203.0.113.50'
PUBLIC_IPS = ('203.0.113.9', '203.0.113.10')


def make(test, build):
    """The laboratory that `build` makes, taken down with the test; skips the test where namespaces cannot be had."""
    if os.geteuid() != 0:
        raise unittest.SkipTest('needs root, to make network namespaces')
    try:
        lab = build()
    except PermissionError as error:
        raise unittest.SkipTest(str(error)) from error
    test.addCleanup(lab.__exit__, None, None, None)
    return lab


def socket_in(host, ip):
    """A UDP socket on a free port of `ip`, an address of the host."""
    made = []

    def enter():  # only this thread changes its namespace; the socket stays in the one where it was made
        descriptor = os.open(f'/proc/{host.netns}/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
                made.append(OSError(ctypes.get_errno(), 'setns'))
                return
            sock = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((ip, 0))
            made.append(sock)
        except OSError as error:
            made.append(error)
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


class OneToOneNat(netlab.Lab):
    """A relay host with a private address only, a router that translates it 1:1, and the internet outside."""

    def __init__(self):
        super().__init__()
        self.relay, self.router, self.outside = (self.host(name) for name in ('relay', 'router', 'outside'))
        self.link(self.relay, RELAY_IP + '/24', self.router, '10.88.0.1/24')
        self.link(self.outside, [STUN_IP + '/24', CLIENT_IP + '/24'], self.router,
                  ['203.0.113.1/24', *(ip + '/24' for ip in PUBLIC_IPS)])
        self.router.forward()
        self.relay.route_via('10.88.0.1')
        self.outside.route_via('203.0.113.1')
        self.translate(PUBLIC_IPS[0])

    def translate(self, public):
        """Makes `public` the address of the relay host, instead of the one before."""
        self.router.nft(f'''
            table ip nat
            delete table ip nat
            table ip nat {{
              chain in {{
                type nat hook prerouting priority -100; policy accept;
                ip daddr {public} dnat to {RELAY_IP}
              }}
              chain out {{
                type nat hook postrouting priority 100; policy accept;
                ip saddr {RELAY_IP} snat to {public}
              }}
            }}''')


def with_hosts(host, path):
    """The prefix that runs a program in the host with the file `path` as /etc/hosts."""
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return [*host.inside(['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, path])]
