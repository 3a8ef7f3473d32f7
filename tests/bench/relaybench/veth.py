"""Two network namespaces joined by a veth pair with GRO on: runs form on the way in, as in a network card, whatever the sender does.

veth hands packets to GRO only where its other end does not segment TCP by itself (TSO off), and GRO needs NAPI to find more than one
packet at a time: a kernel thread polls (threaded NAPI), and lingers gro_flush_timeout for more, as a card's interrupt moderation
does. What the thread uses is not the server's CPU time, as a card's interrupts are not.
"""

import array
import fcntl
import os
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
ETHTOOL_STSO = 0x1F
ETHTOOL_SGRO = 0x2C

SERVER_IP = '10.99.0.1'
CLIENT_IP = '10.99.0.2'


def set_feature(device, command, on):
    """ethtool -K DEVICE gro|tso on|off, in the namespace of this process."""
    value = array.array('B', struct.pack('II', command, int(on)))
    address, _ = value.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock.fileno(), SIOCETHTOOL, struct.pack('16sP', device.encode(), address))


def _prepare(host, flush_timeout_ns):
    device = 'eth0'
    host.run([sys.executable, '-B', os.path.abspath(__file__), device])
    # sysfs shows the namespace in which it was mounted.
    settings = f'cd /sys/class/net/{device} && echo {flush_timeout_ns} > gro_flush_timeout && echo 1 > threaded'
    host.run(['unshare', '--mount', 'sh', '-c', f'mount -t sysfs none /sys && {settings}'])


def lay(lab, flush_timeout_ns=20000):
    """(server host, client host) of a netlab.Lab, linked and ready."""
    server, client = lab.host('server'), lab.host('client')
    lab.link(server, f'{SERVER_IP}/24', client, f'{CLIENT_IP}/24')
    for host in (server, client):
        _prepare(host, flush_timeout_ns)
    return server, client


if __name__ == '__main__':
    set_feature(sys.argv[1], ETHTOOL_STSO, False)
    set_feature(sys.argv[1], ETHTOOL_SGRO, True)
