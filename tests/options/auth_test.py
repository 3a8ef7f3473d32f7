#!/usr/bin/python3
"""Who may relay: users, secrets, tokens, realms, nonces."""

import base64
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import options, processes, servers, testing, turn  # noqa: E402
from lib.turn import Attr, Method  # noqa: E402

# Without credentials: each test gives its own.
BARE = ('no-cli', 'log-file=stdout', 'verbose', 'allow-loopback-peers', 'relay-threads=2', *options.LISTENING)
KEY = 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK'  # coturn's test key "north"
SERVER_NAME = 'turn.test.example'


class Auth(options.OptionCase):
    """The sections Authentication and Realms of turnd.conf(5)."""

    def allocate_code(self, server, user, password, **options_):
        return self.code(self.client(server, user=user, password=password, **options_).allocate)

    @testing.case()
    def test_realm(self):
        def question(server):
            client = self.client(server, user='carol', password='glass')
            return (self.code(client.allocate), client.realm)

        self.same(question, 'realm=other.example', 'user=carol:glass', 'lt-cred-mech', base=BARE, expected=(0, 'other.example'))

    @testing.case()
    def test_lt_cred_mech_and_user(self):
        def question(server):
            return [self.allocate_code(server, *who) for who in
                    (('carol', 'glass'), ('carol', 'wrong'), ('nobody', 'glass'), (None, None))]

        self.same(question, 'realm=test.example', 'user=carol:glass', 'lt-cred-mech', base=BARE, expected=[0, 401, 401, 401])
        # Users alone turn it on, as in coturn.
        self.same(question, 'realm=test.example', 'user=carol:glass', base=BARE, expected=[0, 401, 401, 401])

    @testing.case()
    def test_user_with_a_key(self):
        made = processes.run(['turnadmin', '-k', '-u', 'carol', '-r', 'test.example', '-p', 'glass'], timeout=20)
        key = next(line for line in made.lines('out') if line.startswith('0x'))
        self.same(lambda server: self.allocate_code(server, 'carol', 'glass'), 'realm=test.example', f'user=carol:{key}',
                  'lt-cred-mech', base=BARE, expected=0)

    @testing.case()
    def test_no_auth(self):
        self.same(lambda server: self.allocate_code(server, None, None), 'realm=test.example', 'no-auth', base=BARE,
                  expected=0)

    @testing.case()
    def test_use_auth_secret_and_static_auth_secret(self):
        def question(server):
            return [self.allocate_code(server, *turn.rest_credentials(secret, 'bob', lifetime=lifetime))
                    for secret, lifetime in (('north', 60), ('south', 60), ('west', 60), ('north', -60))]

        lines = ('realm=test.example', 'static-auth-secret=north', 'static-auth-secret=south')
        self.same(question, *lines, 'use-auth-secret', base=BARE, expected=[0, 0, 401, 401])
        self.same(question, *lines, base=BARE, expected=[0, 0, 401, 401])

    @testing.case()
    def test_use_auth_secret_turned_off(self):
        """coturn takes any value for on."""
        server = self.turnd('realm=test.example', 'user=carol:glass', 'static-auth-secret=north', 'use-auth-secret=off',
                            base=BARE)
        self.assertEqual(self.allocate_code(server, *turn.rest_credentials('north', 'bob')), 401)
        self.assertEqual(self.allocate_code(server, 'carol', 'glass'), 0)

    @testing.case()
    def test_users_and_secrets_side_by_side(self):
        """coturn serves only the secrets."""
        server = self.turnd('realm=test.example', 'user=carol:glass', 'static-auth-secret=north', base=BARE)
        self.assertEqual(self.allocate_code(server, *turn.rest_credentials('north', 'bob')), 0)
        self.assertEqual(self.allocate_code(server, 'carol', 'glass'), 0)

    @testing.case()
    def test_rest_api_separator(self):
        def question(server, separator='!'):
            return self.allocate_code(server, *turn.rest_credentials('north', 'bob', separator=separator))

        lines = ('realm=test.example', 'static-auth-secret=north')
        self.same(question, *lines, 'rest-api-separator=!', base=BARE, expected=0)
        self.assertEqual(question(self.turnd(*lines, base=BARE)), 401)

    @testing.case()
    def test_stale_nonce(self):
        def question(server):
            """Whether the first request after two lifetimes of a nonce is refused as stale, and the next served."""
            client = self.client(server)
            client.allocate()
            time.sleep(2.3)
            message = turn.build(Method.REFRESH, turn.Class.REQUEST, os.urandom(12),
                                 client._credentials(), Attr.MESSAGE_INTEGRITY, client._key())
            answer = client.transact(message)
            return (answer.error()[0] if answer.cls == turn.Class.ERROR else 0, client.refresh())

        self.same(question, 'stale-nonce=1', expected=(438, 600))
        self.same(question, 'stale-nonce=600', expected=(0, 600))
        self.assertEqual(question(self.turnd('stale-nonce=0')), (0, 600))

    @testing.case()
    def test_stateless_nonce_secret(self):
        """A client that moves to the other server of a fleet is not challenged again."""
        for second, wanted in (('fleet', 0), ('another fleet', 438)):
            one = self.turnd('stateless-nonce-secret=fleet')
            two = self.turnd(f'stateless-nonce-secret={second}')
            first = self.client(one)
            first.allocate()
            moved = turn.Client(two.address, servers.USER, servers.PASSWORD, sock=first.socket)
            moved.realm, moved.nonce = first.realm, first.nonce
            answer = moved.transact(turn.build(
                Method.ALLOCATE, turn.Class.REQUEST, os.urandom(12),
                [(Attr.REQUESTED_TRANSPORT, b'\x11\0\0\0'), *moved._credentials()], Attr.MESSAGE_INTEGRITY, moved._key()))
            self.assertEqual(answer.error()[0] if answer.cls == turn.Class.ERROR else 0, wanted)

    def unauthorized(self, server, count=60):
        """How many of so many Allocate requests without credentials get their 401."""
        client = self.client(server)
        for _ in range(count):
            client.socket.sendto(turn.build(Method.ALLOCATE, turn.Class.REQUEST, os.urandom(12),
                                            [(Attr.REQUESTED_TRANSPORT, b'\x11\0\0\0')]), server.address)
        answered = 0
        while client._read(0.3) is not None:
            answered += 1
        return answered

    @testing.case()
    def test_unauthorized_ratelimit(self):
        self.assertEqual(self.unauthorized(self.turnd()), 60)
        self.assertLess(self.unauthorized(self.turnd('unauthorized-ratelimit')), 35)

    @testing.case()
    def test_unauthorized_ratelimit_rps(self):
        few = self.unauthorized(self.turnd('unauthorized-ratelimit', 'unauthorized-ratelimit-rps=5'))
        many = self.unauthorized(self.turnd('unauthorized-ratelimit', 'unauthorized-ratelimit-rps=30'))
        self.assertLess(few, 20)
        self.assertGreater(many, few)
        server = self.turnd('unauthorized-ratelimit', 'unauthorized-ratelimit-rps=1')
        self.unauthorized(server)
        stranger = self.client(server, local=('127.0.0.8', 0))
        self.assertEqual(self.code(stranger.allocate), 0, 'another address has a limit of its own')

    # RFC 7635.

    def token(self, *, key=KEY, server_name=SERVER_NAME, lifetime=3600, issued=None):
        """A token made by coturn's own tool, and its MAC key."""
        mac_key = b'k' * 20
        now = int(time.time())
        run = processes.run(
            ['turnutils_oauth', '-e', '-i', server_name, '-j', 'north', '-k', key, '-l', now - 100000, '-m', 1000000, '-n', 'A256GCM',
             '-p', base64.b64encode(mac_key).decode(), '-q', (issued or now) << 16, '-r', lifetime], timeout=20)
        return base64.b64decode(json.loads(run.output('out'))['access_token']), mac_key

    def allocate_with(self, server, token, mac_key, kid='north'):
        """The Allocate answer for a token: its code, or the lifetime it gives."""
        client = self.client(server)
        bare = [(Attr.REQUESTED_TRANSPORT, b'\x11\0\0\0')]
        challenge = client.transact(turn.build(Method.ALLOCATE, turn.Class.REQUEST, os.urandom(12), bare))
        named = challenge.find(Attr.THIRD_PARTY_AUTHORIZATION)
        answer = client.transact(turn.build(
            Method.ALLOCATE, turn.Class.REQUEST, os.urandom(12),
            [*bare, (Attr.USERNAME, kid.encode()), (Attr.REALM, challenge.find(Attr.REALM)),
             (Attr.NONCE, challenge.find(Attr.NONCE)), (Attr.ACCESS_TOKEN, token)], Attr.MESSAGE_INTEGRITY, mac_key))
        if answer.cls == turn.Class.ERROR:
            return named, answer.error()[0]
        answer.check_integrity(Attr.MESSAGE_INTEGRITY, mac_key)
        return named, answer.number(Attr.LIFETIME)

    @testing.case()
    def test_oauth_and_server_name(self):
        """The rows of uclient_test.py for -J compare with turnserver, which has its keys in a database."""
        server = self.turnd('oauth', f'oauth-key=north:{KEY}:A256GCM', f'server-name={SERVER_NAME}')
        name = SERVER_NAME.encode()
        token, mac_key = self.token()
        self.assertEqual(self.allocate_with(server, token, mac_key), (name, 600))
        self.assertEqual(self.allocate_with(server, token[:-1] + bytes([token[-1] ^ 1]), mac_key), (name, 401))
        self.assertEqual(self.allocate_with(server, token, b'x' * 20), (name, 401))
        self.assertEqual(self.allocate_with(server, token, mac_key, kid='south'), (name, 401))
        self.assertEqual(self.allocate_with(server, *self.token(server_name='another.example')), (name, 401))
        self.assertEqual(self.allocate_with(server, *self.token(issued=int(time.time()) - 7200)), (name, 401))
        self.assertEqual(self.allocate_code(server, servers.USER, servers.PASSWORD), 0, 'users stay welcome')

    @testing.case()
    def test_oauth_is_off_by_default(self):
        for kind in options.kinds():
            server = self.start(kind)
            self.assertEqual(self.allocate_with(server, *self.token()), (None, 401))

    @testing.case()
    def test_oauth_server_name_is_the_realm_otherwise(self):
        server = self.turnd('oauth', f'oauth-key=north:{KEY}:A256GCM')
        self.assertEqual(self.allocate_with(server, *self.token(server_name=servers.REALM)), (servers.REALM.encode(), 600))

    @testing.case()
    def test_oauth_key(self):
        """Algorithm, realm and time of a key."""
        name = f'server-name={SERVER_NAME}'
        now = int(time.time())
        for line, wanted in ((f'north:{KEY}', 600), (f'north:{KEY}:A256GCM', 600), (f'north:{KEY}:A128GCM', 401),
                             (f'south:{KEY}', 401), (f'north:{KEY}:A256GCM::{now}:1000', 600),
                             (f'north:{KEY}:A256GCM::{now - 2000}:1000', 401)):
            with self.subTest(line):
                server = self.turnd('oauth', name, f'oauth-key={line}')
                self.assertEqual(self.allocate_with(server, *self.token())[1], wanted)
        server = self.turnd('oauth', name, f'oauth-key=north:{KEY}:A256GCM:moved.example')
        self.assertEqual(self.allocate_with(server, *self.token())[1], 600)
        server.wait_for('realm=<moved.example>')

    # Realms.

    def with_origin(self, server, origin, user=servers.USER, password=servers.PASSWORD):
        """The realm that a client with this ORIGIN is asked for, and the code it gets."""
        client = self.client(server, user=user, password=password)
        extra = [(Attr.ORIGIN, origin.encode())] if origin else []
        code = self.code(client.allocate, extra=extra)
        return client.realm, code

    @testing.case()
    def test_origin_realm_and_realm_user(self):
        server = self.turnd('origin-realm=https://meet.example=meet.realm', 'realm-user=meet.realm:dora:explorer')
        self.assertEqual(self.with_origin(server, 'https://meet.example', 'dora', 'explorer'), ('meet.realm', 0))
        self.assertEqual(self.with_origin(server, 'https://meet.example:443', 'dora', 'explorer'), ('meet.realm', 0))
        self.assertEqual(self.with_origin(server, 'https://meet.example'), ('meet.realm', 401), 'alice is of the other realm')
        self.assertEqual(self.with_origin(server, 'https://elsewhere.example'), (servers.REALM, 0))
        self.assertEqual(self.with_origin(server, None, 'dora', 'explorer'), (servers.REALM, 401))

    @testing.case()
    def test_realm_option(self):
        server = self.turnd('origin-realm=https://meet.example=meet.realm', 'realm-user=meet.realm:dora:explorer',
                            'realm-user=meet.realm:boots:monkey', 'realm-option=meet.realm:total-quota=2',
                            'realm-option=meet.realm:user-quota=1', 'user-quota=3')
        meet = [self.with_origin(server, 'https://meet.example', user, password)[1] for user, password in
                (('dora', 'explorer'), ('dora', 'explorer'), ('boots', 'monkey'), ('boots', 'monkey'))]
        self.assertEqual(meet, [0, 486, 0, 486])
        self.assertEqual([self.with_origin(server, None)[1] for _ in range(4)], [0, 0, 0, 486])

    @testing.case()
    def test_check_origin_consistency(self):
        def question(server):
            client = self.client(server)
            client.allocate(extra=[(Attr.ORIGIN, b'https://meet.example')])
            return [self.code(client.request, Method.REFRESH, [(Attr.ORIGIN, origin)] if origin else [])
                    for origin in (b'https://meet.example', b'https://other.example')]

        self.same(question, 'check-origin-consistency', expected=[0, 441])
        self.assertEqual(question(self.turnd()), [0, 0])


if __name__ == '__main__':
    testing.main()
