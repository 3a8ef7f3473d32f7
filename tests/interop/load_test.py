#!/usr/bin/python3
"""turn-probe's load generator against coturn's turnserver and against turnd."""

import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import processes, servers, testing  # noqa: E402

QUICK = ('-n', '20', '--warm-up', '0.2', '--for', '0.5', '--quiet')
FACTS = ('offered_pps', 'delivered_pps', 'loss_percent', 'allocations_per_second')


def load(server, *options, secret=servers.SECRET, timeout=40):
    """The finished turn-probe process."""
    host, port = server.address
    credentials = ('--secret', secret) if secret else ()
    return processes.run([testing.probe_path(), 'load', f'{host}:{port}', *credentials, *options], timeout=timeout)


def facts_of(process):
    document = json.loads(process.output('out'))
    assert document['exit_code'] == process.returncode, document
    return document['checks'][0]['evidence']


class Load:
    """The same tests for each server; start() is the server's."""

    def start(self, *options):
        raise NotImplementedError

    def check(self, *options):
        server = self.started(self.start())
        process = load(server, *QUICK, '--rate', '1000', '--max-loss', '1', '--json', *options)
        self.assertEqual(process.returncode, 0, process.output())
        facts = facts_of(process)
        for name in FACTS:
            self.assertIn(name, facts)
        self.assertGreater(facts['delivered_pps'], 0)
        return facts

    @testing.case()
    def test_up(self):
        facts = self.check('--direction', 'up')['classes']['up']
        self.assertEqual(facts['run'], 1)
        self.assertGreater(facts['latency_ms']['p99'], 0)
        self.assertGreaterEqual(facts['latency_ms']['p999'], facts['latency_ms']['p50'])

    @testing.case()
    def test_down_to_three_peers(self):
        self.check('--direction', 'down', '--peers', '3')

    @testing.case()
    def test_both_in_runs(self):
        facts = self.check('--direction', 'both', '--run', '4', '--size', '1000')['classes']
        self.assertGreater(facts['up']['delivered'], 0)
        self.assertGreater(facts['down']['delivered'], 0)

    @testing.case()
    def test_echo_in_runs(self):
        self.check('--direction', 'echo', '--run', '8', '--size', '600')

    @testing.case()
    def test_flat_out(self):
        server = self.started(self.start())
        process = load(server, *QUICK, '--json', '--window', '64')
        self.assertEqual(process.returncode, 0, process.output())
        self.assertIn('64 packets under way', facts_of(process)['mode'])

    @testing.case()
    def test_measures_the_server(self):
        server = self.started(self.start())
        process = load(server, *QUICK, '--rate', '2000', '--json', '--server-pid', str(server.pid))
        self.assertEqual(process.returncode, 0, process.output())
        facts = facts_of(process)['server']
        self.assertGreater(facts['cpu_us_per_packet'], 0)
        self.assertGreater(facts['cpu_us_per_allocation'], 0)
        self.assertIn('memory_bytes_per_allocation', facts)

    @testing.case()
    def test_profile(self):
        server = self.started(self.start())
        process = load(server, '--profile', '100x8', '--calls', '2', '--for', '1', '--warm-up', '0.2', '--quiet', '--json')
        self.assertEqual(process.returncode, 0, process.output())
        facts = facts_of(process)
        self.assertEqual(facts['allocations'], 16)
        self.assertEqual(facts['profile']['table_out_mbps'], 125)
        self.assertGreater(facts['classes']['voice out']['delivered'], 0)

    @testing.case()
    def test_wrong_secret_fails_with_a_hint(self):
        process = load(self.started(self.start()), *QUICK, '--json', secret='south')
        self.assertEqual(process.returncode, 1, process.output())
        check = json.loads(process.output('out'))['checks'][0]
        self.assertEqual((check['status'], check['reason']), ('FAIL', 'error-401'))
        self.assertIn('--secret', check['advice'][0])
        self.assertIn('401', process.output('err'))
        self.assertIn('--secret', process.output('err'))

    @testing.case()
    def test_no_credentials_fail_with_a_hint(self):
        process = load(self.started(self.start()), *QUICK, secret=None)
        self.assertEqual(process.returncode, 1, process.output())
        self.assertIn('Give credentials', process.output('err'))

    @testing.case()
    def test_denied_peer_fails_with_a_hint(self):
        # The relay's own ports are always allowed; the peer must not have one of them by chance.
        server = self.started(self.start('--denied-peer-ip=127.0.0.0-127.255.255.255', '--min-port=61100'))
        process = load(server, *QUICK)
        self.assertEqual(process.returncode, 1, process.output())
        self.assertIn('403', process.output('err'))
        self.assertIn('--peer-address', process.output('err'))

    @testing.case()
    def test_loss_above_the_limit_is_exit_code_3(self):
        server = self.started(self.start())
        host, port = server.address
        process = self.started(processes.Process([testing.probe_path(), 'load', f'{host}:{port}', '--secret', servers.SECRET,
                                                  '--rate', '500', '--for', '3', '--warm-up', '0', '--max-loss', '5', '--json']))
        process.wait_for(r'delivered +\d+ pkt/s')
        server.send_signal(signal.SIGSTOP)
        self.assertEqual(process.wait(40), 3, process.output())
        self.assertGreater(facts_of(process)['loss_percent'], 5)

    @testing.case()
    def test_interrupt_ends_early_and_prints(self):
        host, port = self.started(self.start()).address
        process = self.started(processes.Process([testing.probe_path(), 'load', f'{host}:{port}', '--secret', servers.SECRET,
                                                  '--rate', '500', '--for', '300', '--warm-up', '0']))
        process.wait_for(r'delivered +\d+ pkt/s')
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(), 0, process.output())
        self.assertIn('Ended early', process.output('out'))


class AgainstCoturn(Load, testing.TestCase):
    def start(self, *options):
        return servers.Turnserver(self.directory, *options, credentials='secret')


class AgainstTurnd(Load, testing.TestCase):
    def start(self, *options):
        return servers.Turnd(*options)


if __name__ == '__main__':
    testing.main()
