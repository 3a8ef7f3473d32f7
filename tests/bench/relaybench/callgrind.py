"""User-space instructions per relayed packet: two runs of different length under callgrind, so that start and set-up cancel out."""

import glob
import os
import re

from . import load

SHORT, LONG = 1.0, 4.0  # seconds; the server is some 50 times slower than usual


def _instructions(directory):
    """The total of the one callgrind file in `directory`."""
    total = 0
    for path in glob.glob(os.path.join(directory, 'callgrind.out.*')):
        with open(path, encoding='utf-8', errors='replace') as file:
            for line in file:
                match = re.match(r'(?:summary|totals): (\d+)', line)
                if match:
                    total = max(total, int(match[1]))
        os.unlink(path)
    return total


def measure(*arguments, tries=3, **named):
    """Instructions for each delivered packet; None when `tries` measurements made no sense (a stalled run, no file)."""
    for _ in range(tries):
        count = _measure(*arguments, **named)
        if count is not None:
            return count
    return None


def _measure(starter, name, server_place, load_place, scenario, allocations, peer_address=None):
    points = []
    for duration in (SHORT, LONG):
        directory = starter.directory.name
        wrapper = ('valgrind', '--tool=callgrind', f'--callgrind-out-file={directory}/callgrind.out.%p', '-q')
        server = starter.start(name, server_place, wrapper)
        try:
            load.await_ready(starter.probe, server, load_place, peer_address)
            evidence = load.run(starter.probe, server, load_place, scenario.options, allocations=allocations, duration=duration,
                                warm_up=0, peer_address=peer_address, measure=False)
        finally:
            server.stop()
        packets = evidence['delivered_pps'] * evidence['seconds']
        points.append((packets, _instructions(directory)))
    (few, cheap), (many, dear) = points
    if cheap == 0 or dear == 0 or many <= few:
        return None
    return (dear - cheap) / (many - few)
