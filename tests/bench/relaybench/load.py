"""Runs `turn-probe load` or `bench_stream` and hands back what it measured."""

import json
import subprocess
import time

from . import servers


START_TIMEOUT_S = 60


class LoadFailed(RuntimeError):
    """The generator could not make its load."""


def run(probe, server, place, options, *, allocations, duration, warm_up, peer_address=None, measure=True, timeout=300):
    """The evidence of one run. `place`: where the generator runs; `measure`: with the server's CPU time and memory."""
    argv = [*place.prefix(), probe, 'load', server.address, '--secret', servers.SECRET, '--quiet', '--json',
            '--allocations', str(allocations), '--for', str(duration), '--warm-up', str(warm_up), *options]
    if peer_address:
        argv += ['--peer-address', peer_address]
    if measure:
        argv += ['--server-pid', str(server.pid)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise LoadFailed(f'{" ".join(argv)} ended with {done.returncode}: {done.stderr.strip()}')
    return json.loads(done.stdout)['checks'][0]['evidence']


def run_stream(bench_stream, server, place, scenario, *, clients, duration, warm_up, timeout=300):
    """The evidence of one run of clients on streams."""
    address = server.tls_address if scenario.tls else server.address
    argv = [*place.prefix(), bench_stream, scenario.stream, address, '--secret', servers.SECRET, '--server-pid', str(server.pid),
            '--for', str(duration), '--warm-up', str(warm_up), '--clients', str(clients), *scenario.options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise LoadFailed(f'{" ".join(argv)} ended with {done.returncode}: {done.stderr.strip()}')
    return json.loads(done.stdout)


def await_ready(probe, server, place, peer_address=None):
    """One allocation and a few packets, again and again until the server is there: its start does not count."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            run(probe, server, place, ('--rate', '100', '--algorithms', 'legacy'), allocations=1, duration=0.1, warm_up=0,
                peer_address=peer_address, measure=False, timeout=60)
            return
        except LoadFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
