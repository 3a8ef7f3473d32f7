"""Two network namespaces joined by a veth pair with GRO on: runs form on the way in, as in a network card, whatever the sender does.

GRO needs NAPI to find more than one packet at a time. A thread of the kernel that polls (threaded NAPI) on the core of the receiver
gives it that, as a card's interrupt moderation does.
"""

import array
import fcntl
import os
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
ETHTOOL_SGRO = 0x2C

SERVER_IP = '10.99.0.1'
CLIENT_IP = '10.99.0.2'


def set_gro(device):
    """ethtool -K DEVICE gro on, in the namespace of this process."""
    value = array.array('B', struct.pack('II', ETHTOOL_SGRO, 1))
    address, _ = value.buffer_info()
    request = struct.pack('16sP', device.encode(), address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock.fileno(), SIOCETHTOOL, request)


def _prepare(host, flush_timeout_ns):
    device = 'eth0'
    host.run([sys.executable, '-B', os.path.abspath(__file__), device])
    for name, value in (('threaded', '1'), ('gro_flush_timeout', str(flush_timeout_ns))):
        # sysfs shows the namespace in which it was mounted.
        host.run(['unshare', '--mount', 'sh', '-c',
                  f'mount -t sysfs none /sys && echo {value} > /sys/class/net/{device}/{name}'])


def lay(lab, flush_timeout_ns=20000):
    """(server host, client host) of a netlab.Lab, linked and ready."""
    server, client = lab.host('server'), lab.host('client')
    lab.link(server, f'{SERVER_IP}/24', client, f'{CLIENT_IP}/24')
    for host in (server, client):
        _prepare(host, flush_timeout_ns)
    return server, client


if __name__ == '__main__':
    set_gro(sys.argv[1])
