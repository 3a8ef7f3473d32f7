#!/usr/bin/python3
"""coturn's own client, turnutils_uclient, and its echo peer through turnd: nothing may get lost.

Where a row fails, the same row is run against coturn's turnserver, and the test prints both. `--against coturn` runs
every row against coturn alone, which proves the rows; `--table` prints the table of docs/interop.md, both side by side.
"""

import argparse
import concurrent.futures
import os
import re
import sqlite3
import sys
import tempfile
from dataclasses import dataclass, replace

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import certificates, servers, testing, uclient  # noqa: E402

USER = ('-u', servers.USER, '-w', servers.PASSWORD)
SECRET = ('-u', 'alice', '-W', servers.SECRET)
QUICK = ('-n', '20', '-z', '5')
# uclient chooses among TLS 1.0, 1.1 and 1.2 by chance, and gives up when a server refuses; these suites leave it 1.2 only.
MODERN = ('-F', 'ECDHE-ECDSA-AES128-GCM-SHA256')
# The keys that uclient -J knows. It takes one of them by chance for each Allocate and each Refresh.
OAUTH_KEYS = (('north', 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK', 'A256GCM'),
              ('union', 'MTIzNDU2Nzg5MDEyMzQ1Ngo=', 'A128GCM'),
              ('oldempire', 'MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIK', 'A256GCM'))
OAUTH_SERVER_NAME = 'turn.test.example'

TCP, TLS, DTLS = ('-t',), ('-S', '-t'), ('-S',)


@dataclass(frozen=True)
class Row:
    """What uclient is told, and how the servers are set up for it."""

    options: tuple
    credentials: tuple = USER
    threads: int = 2
    ip: str = '127.0.0.1'  # the server's
    settings: tuple = ()   # the same for turnd and turnserver
    port: str = 'plain'    # or 'tls': the port that uclient asks
    wanted: str = 'all'    # or what else makes a good run; see good()
    coturn: str = ''       # why coturn cannot do it, where it cannot
    chancy: str = ''       # why a run may fail through uclient's own doing: skipped where coturn fails too
    tries: int = 1         # how often such a row may be run for one that is good

    @property
    def streams(self):
        return bool({'-t', '-T', '-S'} & set(self.options)) or self.port == 'tls'


SPOILS = 'uclient spoils its own requests by chance, and waits for ever for an answer to one of them'
RECORDS = 'uclient takes only the first of two messages of a TLS record, and coturn may put two into one'
SHUTDOWN = 'uclient ends a TLS connection a second time after it freed it, which at times is the one that it has just opened'
TICKETS = 'coturn 4.6.1 ends the connection at the second copy of the Refresh that uclient sends after it moved'

ROWS = {
    'channels': Row(('-c',)),
    'channels_with_rtcp': Row(()),
    'channels_single_threaded': Row(('-c',), threads=1),
    'indications': Row(('-s', '-c')),
    'indications_with_rtcp': Row(('-s',)),
    'indications_single_threaded': Row(('-s', '-c'), threads=1),
    'client_to_client': Row(('-y', '-c')),
    'client_to_client_with_rtcp': Row(('-y',)),
    'client_to_client_single_threaded': Row(('-y', '-c'), threads=1),
    'client_to_client_indications': Row(('-y', '-s', '-c')),
    'dont_fragment': Row(('-g', '-c')),
    'dont_fragment_indications': Row(('-g', '-s', '-c')),
    'ipv6_relay': Row(('-x', '-c')),
    'ipv6_relay_indications': Row(('-x', '-s', '-c')),
    'ipv6_relay_client_to_client': Row(('-x', '-y', '-c')),
    'ipv4_relay_explicit': Row(('-X', '-c')),
    'dual_allocation': Row(('-Z',)),
    'dual_allocation_indications': Row(('-Z', '-s')),
    'negative_protocol': Row(('-R', '-c'), chancy=SPOILS),
    'negative': Row(('-N', '-c'), wanted='survival'),  # binds channels of invalid numbers, and leaves when that is refused
    'negative_indications': Row(('-N', '-s', '-c'), chancy=SPOILS),
    'negative_client_to_client': Row(('-N', '-y', '-c'), chancy=SPOILS),
    'extra_requests': Row(('-G', '-c')),
    'random_disconnect': Row(('-B', '-c')),
    'bandwidth_request': Row(('-a', '100000', '-c')),
    'origin': Row(('-o', 'https://calls.example', '-c')),
    'padded_channel_data': Row(('-D', '-c', '-l', '101')),
    'secret': Row(('-c',), SECRET),
    'secret_indications': Row(('-s', '-c'), SECRET),
    'secret_client_to_client': Row(('-y', '-c'), SECRET),
    'ten_clients': Row(('-m', '10')),
    'ten_clients_indications': Row(('-m', '10', '-s')),
    'ten_clients_client_to_client': Row(('-m', '10', '-y')),
    'ten_clients_single_threaded': Row(('-m', '10'), threads=1),
    'fifty_clients': Row(('-m', '50', '-c')),
    'big_packets': Row(('-l', '1000', '-c')),
    'big_packets_indications': Row(('-l', '1000', '-s', '-c')),
    'big_packets_dont_fragment': Row(('-l', '1000', '-g', '-s', '-c')),
    'ten_clients_big_packets_secret': Row(('-m', '10', '-l', '1000'), SECRET),
    'another_separator': Row(('-C', '!', '-c'), SECRET, settings=('--rest-api-separator=!',)),
    'no_credentials': Row(('-c',), (), settings=('--no-auth',)),
    'no_credentials_client_to_client': Row(('-y', '-c'), (), settings=('--no-auth',)),
    'fingerprint': Row(('-c',), settings=('--fingerprint',)),
    'ipv6_client': Row(('-c',), ip='::1'),
    'ipv6_client_indications': Row(('-s', '-c'), ip='::1'),
    'ipv6_client_of_an_ipv4_relay': Row(('-X', '-c'), ip='::1', settings=('--relay-ip=127.0.0.1',)),
    'ipv6_client_to_client': Row(('-x', '-y', '-c'), ip='::1'),
    'other_address_of_a_wildcard_listener': Row(('-c',), ip='127.0.0.2', settings=('--relay-ip=127.0.0.1',),
                                                coturn='coturn answers from another address than the one that was asked'),
}


def _transport_rows():
    """The rows that make sense over every transport."""
    for name, flags in (('tcp', TCP), ('tls', TLS), ('dtls', DTLS)):
        yield name, Row((*flags, '-c'))
        yield f'{name}_with_rtcp', Row(flags)
        yield f'{name}_single_threaded', Row((*flags, '-c'), threads=1)
        yield f'{name}_indications', Row((*flags, '-s', '-c'))
        yield f'{name}_client_to_client', Row((*flags, '-y', '-c'))
        yield f'{name}_client_to_client_indications', Row((*flags, '-y', '-s', '-c'))
        yield f'{name}_ipv6_relay', Row((*flags, '-x', '-c'))
        yield f'{name}_ipv6_relay_indications', Row((*flags, '-x', '-s', '-c'))
        yield f'{name}_ipv6_client', Row((*flags, '-c'), ip='::1')
        yield f'{name}_dual_allocation', Row((*flags, '-Z'))
        yield f'{name}_dont_fragment', Row((*flags, '-g', '-c'))
        yield f'{name}_extra_requests', Row((*flags, '-G', '-c'))
        yield f'{name}_random_disconnect', Row((*flags, '-B', '-c'))
        yield f'{name}_odd_lengths', Row((*flags, '-c', '-l', '101'))
        yield f'{name}_big_packets', Row((*flags, '-c', '-l', '1000'))
        yield f'{name}_ten_clients', Row((*flags, '-m', '10'))
        yield f'{name}_secret', Row((*flags, '-c'), SECRET)
        yield f'{name}_oauth', _oauth((*flags, '-c'))
        yield f'{name}_mobility', _mobile((*flags, '-c'), coturn='' if name == 'dtls' else TICKETS,
                                          **({} if name == 'tcp' else {'chancy': SHUTDOWN, 'tries': 8}))
        yield f'{name}_quick_exit', Row((*flags, '-O', '-c'), wanted='survival')
        yield f'{name}_on_the_tls_port', Row((*flags, '-c'), port='tls')
    for name, flags in (('tcp', ()), ('tls', ('-S',))):
        yield f'tcp_relay_over_{name}', Row((*flags, '-T'))
        yield f'tcp_relay_over_{name}_single_threaded', Row((*flags, '-T'), threads=1)
        yield f'tcp_relay_over_{name}_ipv6', Row((*flags, '-T', '-x'))
        yield f'tcp_relay_over_{name}_ten_clients', Row((*flags, '-T', '-m', '10'))
        yield f'tcp_relay_over_{name}_secret', Row((*flags, '-T'), SECRET)
        yield f'tcp_relay_over_{name}_oauth', _oauth((*flags, '-T'))
    yield 'passive_tcp_relay', Row(('-T', '-P'), wanted='half')
    yield 'passive_tcp_relay_single_threaded', Row(('-T', '-P'), wanted='half', threads=1)
    yield 'oauth', _oauth(('-c',))
    yield 'oauth_indications', _oauth(('-s', '-c'))
    yield 'oauth_client_to_client', _oauth(('-y', '-c'))
    yield 'mobility', _mobile(('-c',))
    yield 'mobility_with_rtcp', _mobile(())
    yield 'mobility_indications', _mobile(('-s', '-c'))
    yield 'mobility_ten_clients', _mobile(('-m', '10'))
    yield 'mobility_client_to_client', _mobile(('-y', '-c'))
    yield 'quick_exit', Row(('-O', '-c'), wanted='survival')
    yield 'udp_on_the_tls_port', Row(('-c',), port='tls')


def _over_tls(row):
    tls = '-S' in row.options and {'-t', '-T'} & set(row.options)
    return replace(row, coturn=row.coturn or RECORDS) if tls and row.wanted != 'survival' else row


def _oauth(options):
    return Row(('-J', *options), ('-u', 'north', '-w', 'unused'))


def _mobile(options, **rest):
    return Row(('-M', *options), settings=('--mobility',), **rest)


ROWS.update((name, _over_tls(row)) for name, row in _transport_rows())


def good(row, outcome):
    """Whether a run of the row was what it should be."""
    if row.wanted == 'survival':
        return outcome.exit_code is not None  # uclient leaves in the middle; what counts is the next client
    if row.wanted == 'half':
        # With -P one side is a plain TCP peer of uclient's, which sends, but never counts what reaches it.
        return bool(outcome.sent) and outcome.received * 2 == outcome.sent and outcome.dropped == 0
    return outcome.complete


def arguments_of(row, peer):
    """uclient's command line, but for the server."""
    arguments = [*QUICK, *row.options, *row.credentials]
    if '-S' in row.options:
        arguments += MODERN
    if peer is not None:
        arguments += ['-e', peer_ip_of(row), '-r', str(peer.port)]  # with -Z one peer address stands for both families
    return arguments


def peer_ip_of(row):
    # uclient's relayed address is of the server's family only with -x (or with a server that has no other).
    return '::1' if '-x' in row.options or (row.ip == '::1' and '-X' not in row.options) else '127.0.0.1'


def needs_peer(row):
    return not {'-y', '-T'} & set(row.options)


def settings_of(row):
    settings = list(row.settings)
    if row.ip == '::1' and '-x' not in row.options and not row.settings:
        settings.append('--keep-address-family')
    if row.ip == '127.0.0.1' and {'-x', '-Z'} & set(row.options):
        settings += ['--relay-ip=127.0.0.1', '--relay-ip=::1']
    return settings


def listening_ip_of(row):
    return '0.0.0.0' if row.ip == '127.0.0.2' else row.ip


def certificate_for(row, directory):
    return certificates.Authority(directory).issue() if '-S' in row.options or row.port == 'tls' else None


def start_turnd(row, directory):
    settings = [f'--relay-threads={row.threads}', '--verbose', *settings_of(row)]
    if '-J' in row.options:
        settings += ['--oauth', f'--server-name={OAUTH_SERVER_NAME}', *(f'--oauth-key={":".join(key)}' for key in OAUTH_KEYS)]
    credentials = servers.Turnd.CREDENTIALS if row.credentials else ()
    if row.streams:
        server = servers.Turnd.with_streams(*settings, credentials=credentials, listening_ip=listening_ip_of(row),
                                            tls=certificate_for(row, directory))
    else:
        server = servers.Turnd(*settings, credentials=credentials,
                               listener=(f'--listening-ip={listening_ip_of(row)}', '--listening-port=0'))
    return _addressed(server, row)


def start_coturn(row, directory):
    settings = settings_of(row)
    if '-J' in row.options:
        settings += ['--oauth', f'--server-name={OAUTH_SERVER_NAME}']
        _write_oauth_keys(f'{directory}/turndb')
    credentials = 'secret' if '-W' in row.credentials else 'user' if row.credentials else None
    return _addressed(servers.Turnserver(directory, *settings, threads=row.threads, listening_ip=listening_ip_of(row),
                                         tls=certificate_for(row, directory), credentials=credentials), row)


def _addressed(server, row):
    server.address = (row.ip, (server.tls_address if row.port == 'tls' else server.address)[1])
    return server


def _write_oauth_keys(path):
    with open('/usr/share/coturn/schema.sql', encoding='utf-8') as schema, sqlite3.connect(path) as database:
        database.executescript(schema.read())
        database.executemany("insert into oauth_key values (?, ?, 0, 0, ?, '')", OAUTH_KEYS)
    database.close()


def run_row(name, server, row, arguments):
    # With -R uclient spoils one message in ten before it sends it, and never retransmits: whichever server it speaks
    # to, about half of its runs wait for ever for an answer.
    for _ in range(1 if name == 'coturn' and row.coturn == TICKETS else row.tries):
        outcome = uclient.run_until_complete(server.address, *arguments, runs=10 if '-R' in row.options else 1)
        print(f'through {name}: {outcome.command}\n  {outcome}', file=sys.stderr)
        if good(row, outcome):
            break
    return outcome


class Uclient(testing.TestCase):
    """One test for each row, made below."""

    def check(self, row):
        peer = self.started(servers.Peer(peer_ip_of(row))) if needs_peer(row) else None
        arguments = arguments_of(row, peer)
        if testing.against() == 'coturn':
            self.check_coturn(row, arguments)
            return
        turnd = self.started(start_turnd(row, self.directory))
        ours = run_row('turnd', turnd, row, arguments)
        if good(row, ours):
            if '-R' in row.options or row.wanted == 'survival':
                self.check_clean_run(turnd, row, arguments)
            self.assertEqual(turnd.stop(), 0, turnd.output())
            return

        coturn = self.started(start_coturn(row, self.directory))
        theirs = run_row('coturn', coturn, row, arguments)
        if row.chancy and not good(row, theirs):
            self.assertIsNone(turnd.returncode, turnd.output())
            self.check_clean_run(turnd, row, arguments)
            self.skipTest(f'coturn fails this row on this machine too; {row.chancy}; turnd: {ours}; coturn: {theirs}')
        self.fail(f'turnd: {ours}\ncoturn: {theirs}\n{ours.output}\nturnd said:\n{turnd.output()}')

    def check_coturn(self, row, arguments):
        coturn = self.started(start_coturn(row, self.directory))
        theirs = run_row('coturn', coturn, row, arguments)
        if (row.coturn or row.chancy) and not good(row, theirs):
            self.skipTest(f'{row.coturn or row.chancy}; coturn: {theirs}')
        self.assertTrue(good(row, theirs), f'{theirs}\n{theirs.output}\ncoturn said:\n{coturn.output()}')

    def check_clean_run(self, turnd, row, arguments):
        """What a negative test did to the server must not hurt the next client."""
        clean = [argument for argument in arguments if argument not in ('-N', '-R', '-O')]
        outcome = run_row('turnd afterwards', turnd, row, clean)
        self.assertTrue(outcome.complete, f'{outcome}\n{outcome.output}\nturnd said:\n{turnd.output()}')


def _add_rows():
    for name, row in ROWS.items():
        @testing.case(timeout=150)
        def test(self, row=row):
            self.check(row)

        test.__name__ = f'test_{name}'
        setattr(Uclient, test.__name__, test)


_add_rows()


class Page(testing.TestCase):
    """docs/interop.md."""

    @testing.case()
    def test_every_row_stands_there(self):
        page = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'docs', 'interop.md')
        shown = dict(re.findall(r'^\| (\w+) \| (`[^`]*`|none) \| [^|]+ \| [^|]+ \|', self.read(page), re.MULTILINE))
        self.assertEqual(shown, {name: f'`{" ".join(row.options)}`' if row.options else 'none' for name, row in ROWS.items()})



GROUPS = (('TCP relays (RFC 6062)', lambda name, row: '-T' in row.options),
          ('TLS', lambda name, row: name.startswith('tls')), ('DTLS', lambda name, row: name.startswith('dtls')),
          ('TCP', lambda name, row: name.startswith('tcp')), ('UDP', lambda name, row: True))


def _shown(row, outcome):
    if row.wanted == 'survival':
        return 'serves on' if good(row, outcome) else f'**{outcome}**'
    if outcome.sent is None:
        return '**no connection**' if outcome.exit_code is not None else '**hangs**'
    text = f'{outcome.received} of {outcome.sent}'
    return text if good(row, outcome) else f'**{text}**'


def _one_outcome(name, start, row):
    with tempfile.TemporaryDirectory(prefix='turnkit-') as directory:
        peer = servers.Peer(peer_ip_of(row)) if needs_peer(row) else None
        server = None
        try:
            server = start(row, directory)
            outcome = run_row(name, server, row, arguments_of(row, peer))
            if row.wanted == 'survival' and good(row, outcome):
                clean = replace(row, options=tuple(option for option in row.options if option not in ('-N', '-O')),
                                wanted='all')
                after = run_row(name, server, clean, arguments_of(clean, peer))
                return outcome if good(clean, after) else after
            return outcome
        finally:
            for process in (server, peer):
                if process is not None:
                    process.kill()


def _line(name):
    row = ROWS[name]
    cells = [_shown(row, _one_outcome(server, start, row)) for server, start in (('turnd', start_turnd), ('coturn', start_coturn))]
    remarks = [*(f'`{key}`' for key in row.settings), *(['TLS port'] if row.port == 'tls' else []),
               *(['one thread'] if row.threads == 1 else []), *([f'at `{row.ip}`'] if row.ip != '127.0.0.1' else []),
               *(['REST secret'] if '-W' in row.credentials else ['no credentials'] if not row.credentials else [])]
    options = f'`{" ".join(row.options)}`' if row.options else 'none'
    return f'| {name} | {options} | {cells[0]} | {cells[1]} | {", ".join(remarks)} |'


def print_tables(names, jobs):
    """For both servers the messages received of messages sent, in Markdown. Bold: not as it should be."""
    names = names or list(ROWS)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        lines = dict(zip(names, pool.map(_line, names)))
    for title, _ in reversed(GROUPS):
        of_group = [name for name in names if next(group for group, has in GROUPS if has(name, ROWS[name])) == title]
        if of_group:
            print(f'\n### {title}\n\n| row | uclient | turnd | coturn | |\n|---|---|---|---|---|')
            print('\n'.join(lines[name] for name in of_group))


if __name__ == '__main__':
    if '--table' in sys.argv:
        parser = argparse.ArgumentParser(description=print_tables.__doc__)
        parser.add_argument('--table', action='store_true')
        parser.add_argument('--turnd', required=True)
        parser.add_argument('--jobs', type=int, default=4)
        parser.add_argument('names', nargs='*', metavar='ROW')
        given = parser.parse_args()
        os.environ['TURND'] = os.path.abspath(given.turnd)
        print_tables(given.names, given.jobs)
    else:
        testing.main()
