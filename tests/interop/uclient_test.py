#!/usr/bin/python3
"""coturn's own client, turnutils_uclient, and its echo peer through turnd: nothing may get lost.

Where a row fails, the same row is run against coturn's turnserver, and the test prints both. Only when coturn fails the
row too, on this machine, is the row skipped instead of failed.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import servers, testing, uclient  # noqa: E402

USER = ('-u', servers.USER, '-w', servers.PASSWORD)
SECRET = ('-u', 'alice', '-W', servers.SECRET)
QUICK = ('-n', '20', '-z', '5')

# name: (uclient's options, credentials, relay threads)
ROWS = {
    'channels': (('-c',), USER, 2),
    'channels_with_rtcp': ((), USER, 2),
    'channels_single_threaded': (('-c',), USER, 1),
    'indications': (('-s', '-c'), USER, 2),
    'indications_with_rtcp': (('-s',), USER, 2),
    'indications_single_threaded': (('-s', '-c'), USER, 1),
    'client_to_client': (('-y', '-c'), USER, 2),
    'client_to_client_with_rtcp': (('-y',), USER, 2),
    'client_to_client_single_threaded': (('-y', '-c'), USER, 1),
    'client_to_client_indications': (('-y', '-s', '-c'), USER, 2),
    'dont_fragment': (('-g', '-c'), USER, 2),
    'dont_fragment_indications': (('-g', '-s', '-c'), USER, 2),
    'ipv6_relay': (('-x', '-c'), USER, 2),
    'ipv6_relay_indications': (('-x', '-s', '-c'), USER, 2),
    'ipv6_relay_client_to_client': (('-x', '-y', '-c'), USER, 2),
    'ipv4_relay_explicit': (('-X', '-c'), USER, 2),
    'dual_allocation': (('-Z',), USER, 2),
    'dual_allocation_indications': (('-Z', '-s'), USER, 2),
    'negative_protocol': (('-R', '-c'), USER, 2),
    'negative_protocol_indications': (('-R', '-s', '-c'), USER, 2),
    'negative': (('-N', '-c'), USER, 2),
    'negative_indications': (('-N', '-s', '-c'), USER, 2),
    'negative_client_to_client': (('-N', '-y', '-c'), USER, 2),
    'extra_requests': (('-G', '-c'), USER, 2),
    'padded_channel_data': (('-D', '-c', '-l', '101'), USER, 2),
    'secret': (('-c',), SECRET, 2),
    'secret_indications': (('-s', '-c'), SECRET, 2),
    'secret_client_to_client': (('-y', '-c'), SECRET, 2),
    'ten_clients': (('-m', '10'), USER, 2),
    'ten_clients_indications': (('-m', '10', '-s'), USER, 2),
    'ten_clients_client_to_client': (('-m', '10', '-y'), USER, 2),
    'ten_clients_single_threaded': (('-m', '10'), USER, 1),
    'big_packets': (('-l', '1000', '-c'), USER, 2),
    'big_packets_indications': (('-l', '1000', '-s', '-c'), USER, 2),
    'big_packets_dont_fragment': (('-l', '1000', '-g', '-s', '-c'), USER, 2),
    'ten_clients_big_packets_secret': (('-m', '10', '-l', '1000'), SECRET, 2),
}


class Uclient(testing.TestCase):
    """One test for each row, made below."""

    def check(self, options, credentials, threads):
        ipv6 = '-x' in options or '-Z' in options
        peer_ip = '::1' if '-x' in options else '127.0.0.1'
        arguments = [*QUICK, *options, *credentials]
        if '-y' not in options:
            # With -Z one peer address stands for both families.
            peer = self.started(servers.Peer(peer_ip))
            arguments += ['-e', peer_ip, '-r', str(peer.port)]

        relay = ('--relay-ip=127.0.0.1', '--relay-ip=::1') if ipv6 else ()
        turnd = self.started(servers.Turnd(f'--relay-threads={threads}', '--verbose', *relay))
        ours = self.run_row('turnd', turnd, arguments)
        if ours.complete:
            if '-R' in options:
                self.check_clean_run(turnd, arguments)
            self.assertEqual(turnd.stop(), 0, turnd.output())
            return

        coturn = self.started(servers.Turnserver(self.directory, *relay, threads=threads,
                                                 credentials='secret' if '-W' in credentials else 'user'))
        theirs = self.run_row('coturn', coturn, arguments)
        if not theirs.complete:
            self.assertIsNone(turnd.returncode, turnd.output())
            self.check_clean_run(turnd, arguments)
            self.skipTest(f'coturn fails this row on this machine too; turnd: {ours}; coturn: {theirs}')
        self.fail(f'turnd: {ours}\ncoturn: {theirs}\n{ours.output}\nturnd said:\n{turnd.output()}')

    @staticmethod
    def run_row(name, server, arguments):
        # With -R uclient spoils one message in ten before it sends it, and never retransmits: whichever server it
        # speaks to, about half of its runs wait for ever for an answer.
        runs = 10 if '-R' in arguments else 1
        outcome = uclient.run_until_complete(server.address, *arguments, runs=runs)
        print(f'through {name}: {outcome.command}\n  {outcome}')
        return outcome

    def check_clean_run(self, turnd, arguments):
        """What a negative test did to the server must not hurt the next client."""
        clean = [argument for argument in arguments if argument not in ('-N', '-R')]
        outcome = self.run_row('turnd afterwards', turnd, clean)
        self.assertTrue(outcome.complete, f'{outcome}\n{outcome.output}\nturnd said:\n{turnd.output()}')


def _add_rows():
    for name, row in ROWS.items():
        @testing.case(timeout=180)
        def test(self, row=row):
            self.check(*row)

        test.__name__ = f'test_{name}'
        setattr(Uclient, test.__name__, test)


_add_rows()

if __name__ == '__main__':
    testing.main()
