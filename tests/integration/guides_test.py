#!/usr/bin/python3
"""Configuration files of coturn as guides have people write them: each starts turnd as it is, with warnings only where
one is due, and serves."""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))

from lib import certificates, processes, servers, testing, turn, turn_stream  # noqa: E402

CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'configs')
HOST = '127.0.0.1'  # in place of the guides' 10.7.7.7
NO_GUIDES_FAULT = ('turnd would run as root', '/turndb: coturn')  # that depends on who runs the test, and where


class Guides(testing.TestCase):
    """Each file, moved below the test's directory and to free ports; nothing else is changed."""

    def prepared(self, name):
        """The path of the file, with certificates and directories where it expects them."""
        text = self.read(os.path.join(CONFIGS, name))
        certificate = certificates.Authority(self.directory).issue()
        for key, source in (('cert', certificate.cert), ('pkey', certificate.pkey)):
            for path in re.findall(rf'^{key}=(.*)$', text, re.MULTILINE):
                self.place(path, self.read(source))
        for path in re.findall(r'^dh-file=(.*)$', text, re.MULTILINE):
            self.place(path, self.dh_parameters())
        for path in re.findall(r'^(?:log-file|pidfile)=(/.*)$', text, re.MULTILINE):
            self.place(path, None)
        text = re.sub(r'=/(etc|var)/', f'={self.directory}/\\1/', text)
        return self.write(name, text.replace('10.7.7.7', HOST))

    def place(self, path, text):
        moved = self.directory + path
        os.makedirs(os.path.dirname(moved), exist_ok=True)
        if text is not None:
            self.write(path.lstrip('/'), text)

    @staticmethod
    def dh_parameters():
        return subprocess.run(['openssl', 'genpkey', '-genparam', '-algorithm', 'DH', '-pkeyopt', 'group:ffdhe2048'],
                              check=True, capture_output=True, text=True).stdout

    def checked(self, path, *arguments):
        run = processes.run([servers.turnd_path(), '-c', path, '--check-config', '--json', *arguments], timeout=20)
        self.assertEqual(run.returncode, 0, run.output())
        return json.loads(run.output('out'))

    def serves(self, name, warnings=(), unsafe=(), udp=True):
        """The file passes --check-config with just these findings, starts with just these warnings, and relays."""
        path = self.prepared(name)
        findings = [finding for finding in self.checked(path)['findings']
                    if not any(text in finding['text'] for text in NO_GUIDES_FAULT)]
        self.matches([finding['text'] for finding in findings if finding['kind'] == 'ignored'], warnings)
        self.matches([finding['text'] for finding in findings if finding['kind'] == 'unsafe'], unsafe)

        port = servers.free_ports(4)
        turnd = self.started(servers.Turnd(
            '-c', path, f'--listening-port={port}', f'--tls-listening-port={port + 2}', '--relay-threads=1',
            f'--log-file={self.path("seen.log")}', '--no-stdout-log=off', common=(), credentials=(),
            listener=() if 'listening-ip' in self.read(path) else (f'--listening-ip={HOST}',), wait=False))
        seen = self.logged(turnd, path)
        self.matches([line for line in seen if re.search(r'\b(WARNING|ERROR)\b', line)], warnings)
        secret = re.search(r'^static-auth-secret=(.*)$', self.read(path), re.MULTILINE)[1]
        for transport, at in (('udp', port), ('tls', port + 2)):
            user, password = turn.rest_credentials(secret, 'guest')
            client = turn_stream.client(transport, (HOST, at), user, password)
            self.addCleanup(client.socket.close)
            client.allocate()
        return turnd

    def logged(self, turnd, path):
        """The log's lines once the server serves, from wherever the file has them go."""
        files = [self.path('seen.log'), *re.findall(r'^log-file=(/.*)$', self.read(path), re.MULTILINE)]

        def lines():
            out = turnd.lines()
            for file in files:
                if os.path.exists(file):
                    out = out + self.read(file).splitlines()
            return out

        def started():
            self.assertIsNone(turnd.returncode, turnd.output())
            return any(re.search(servers.STARTED, line) for line in lines())

        processes.until(started, 'turnd to start')
        return lines()

    def matches(self, texts, expected):
        """Each text holds one of the expected ones, and each expected one is there."""
        strange = [text for text in texts if not any(part in text for part in expected)]
        self.assertEqual(strange, [])
        missing = [part for part in expected if not any(part in text for text in texts)]
        self.assertEqual(missing, [])

    @testing.case()
    def test_matrix_synapse(self):
        self.serves('matrix-synapse.conf')

    @testing.case()
    def test_nextcloud_talk(self):
        self.serves('nextcloud-talk.conf', unsafe=['clients reach private addresses behind this server'])

    @testing.case()
    def test_jitsi_meet(self):
        self.serves('jitsi-meet.conf')

    @testing.case()
    def test_bigbluebutton(self):
        self.serves('bigbluebutton.conf')

    @testing.case()
    def test_mattermost_calls(self):
        self.serves('mattermost-calls.conf')

    @testing.case()
    def test_a_guides_file_without_its_certificate_does_not_start(self):
        path = self.prepared('jitsi-meet.conf')
        os.remove(f'{self.directory}/etc/jitsi/meet/meet.example.net.crt')
        run = processes.run([servers.turnd_path(), '-c', path, '--pidfile='], timeout=20)
        self.assertEqual(run.returncode, 2, run.output())
        self.assertIn('jitsi-meet.conf:6: cert=', run.output('err'))
        self.assertIn('no such file', run.output('err'))

    @testing.case()
    def test_the_file_that_debian_installs(self):
        """Comments but for four lines; nothing in it is a reason to warn but what it leaves out."""
        path = '/etc/turnserver.conf'
        if not os.path.exists(path):
            self.skipTest('the package coturn is not installed')
        findings = self.checked(path)['findings']
        self.assertEqual([finding['text'] for finding in findings if finding['kind'] == 'ignored'
                          and not any(text in finding['text'] for text in NO_GUIDES_FAULT)], [])
        advice = [finding['text'] for finding in findings if finding['kind'] == 'advice']
        self.assertEqual(len([text for text in advice if 'no credentials are configured' in text]), 1, advice)
        turnd = self.started(servers.Turnd(common=('-c', path, '--pidfile=', '--log-file=stdout', '--no-stdout-log=off'),
                                           credentials=()))
        warnings = [line for line in turnd.lines() if re.search(r'\b(WARNING|ERROR)\b', line)
                    and not any(text in line for text in NO_GUIDES_FAULT)]
        self.matches(warnings, [text for text in ('no credentials are configured', 'no realm is set')
                                if any(text in line for line in advice)])


if __name__ == '__main__':
    testing.main()
