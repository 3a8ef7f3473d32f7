#!/usr/bin/env python3
"""Installs a build below a temporary prefix and uses what is there: programs, manual pages, completions, the unit.

Usage: install_test.py CMAKE BUILD_DIRECTORY
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

CMAKE, BUILD = sys.argv[1:3] if len(sys.argv) == 3 else (None, None)

BASE = {
    'bin/turnd', 'bin/turn-probe', 'share/man/man8/turnd.8', 'share/man/man5/turnd.conf.5', 'share/man/man1/turn-probe.1',
    'share/bash-completion/completions/turnd', 'share/bash-completion/completions/turn-probe',
    'lib/systemd/system/turnd.service', 'lib/sysusers.d/turnd.conf',
}
ALIASES = {'bin/turnserver', 'share/man/man1/turnserver.1', 'share/man/man5/turnserver.conf.5',
           'share/bash-completion/completions/turnserver'}


def run(*command, check=True, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=check, **options)


class Install(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix='turnkit-install-'))
        cls.prefix = cls.root / 'usr'
        run(CMAKE, '--install', BUILD, '--prefix', str(cls.prefix), '--component', 'Unspecified')
        cls.base = cls.files(cls.prefix)
        run(CMAKE, '--install', BUILD, '--prefix', str(cls.prefix), '--component', 'coturn_aliases')

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root, ignore_errors=True)

    @staticmethod
    def files(prefix):
        return {str(path.relative_to(prefix)) for path in prefix.rglob('*') if not path.is_dir()}

    def test_everything_is_in_its_place_and_nothing_else(self):
        self.assertEqual(self.base, BASE)
        self.assertEqual(self.files(self.prefix), BASE | ALIASES)

    def test_a_staged_installation_goes_below_its_root_only(self):
        stage = self.root / 'stage'
        for component in ('Unspecified', 'coturn_aliases'):
            run(CMAKE, '--install', BUILD, '--prefix', '/usr', '--component', component, env={**os.environ, 'DESTDIR': str(stage)})
        self.assertEqual(self.files(stage / 'usr'), BASE | ALIASES)
        self.assertIn('ExecStart=/usr/bin/turnd ', (stage / 'usr/lib/systemd/system/turnd.service').read_text())

    def test_the_programs_run(self):
        version = run(str(self.prefix / 'bin/turnd'), '--version').stdout
        self.assertRegex(version, r'^\d+\.\d+\.\d+\n$')
        self.assertEqual(run(str(self.prefix / 'bin/turnserver'), '--version').stdout, version)
        self.assertIn(version.strip(), run(str(self.prefix / 'bin/turn-probe'), '--version').stdout)

    def test_the_installed_program_finds_the_file_beside_it(self):
        etc = self.prefix / 'etc'
        etc.mkdir()
        self.addCleanup(shutil.rmtree, etc)
        for name in ('turnd', 'turnserver'):
            (etc / f'{name}.conf').write_text(f'realm={name}\nstatic-auth-secret=0123456789abcdef0123456789abcdef\n')
        for name in ('turnd', 'turnserver'):
            with self.subTest(name):
                out = run(str(self.prefix / 'bin' / name), '--check-config', cwd=self.root).stdout
                self.assertIn(f'{name}.conf: the configuration is valid', out)
                self.assertIn(f'realm={name}', out)

    @unittest.skipUnless(shutil.which('man'), 'there is no man(1) here')
    def test_the_manual_pages_can_be_read(self):
        for page, text in (('turnd.8', 'TURN relay'), ('turnd.conf.5', 'configuration of turnd'), ('turn-probe.1', 'turn-probe')):
            path = next(self.prefix.rglob(page))
            shown = run('man', '--warnings', '-l', str(path), env={**os.environ, 'MANPAGER': 'cat', 'LC_ALL': 'C.UTF-8'})
            self.assertIn(text, shown.stdout)
            self.assertEqual(shown.stderr, '', page)

    def test_completion_works_for_both_names(self):
        for name in ('turnd', 'turnserver'):
            path = self.prefix / 'share/bash-completion/completions' / name
            shown = run('bash', '-c', f'source "{path}"; complete -p {name}').stdout
            self.assertIn('_turnd', shown)

    def test_the_unit_starts_the_installed_program(self):
        unit = (self.prefix / 'lib/systemd/system/turnd.service').read_text()
        program = re.search(r'^ExecStart=(\S+)', unit, re.MULTILINE)[1]
        self.assertEqual(program, str(self.prefix / 'bin/turnd'))
        self.assertNotRegex(unit, '@TURNKIT|@CMAKE')
        self.assertIn('\nType=notify\n', unit)

    @unittest.skipUnless(shutil.which('systemd-analyze'), 'there is no systemd-analyze(1) here')
    def test_systemd_accepts_the_unit(self):
        unit = self.prefix / 'lib/systemd/system/turnd.service'
        verified = run('systemd-analyze', 'verify', '--man=no', str(unit), check=False)
        complaints = [line for line in (verified.stdout + verified.stderr).splitlines() if 'turnd.service' in line]
        self.assertEqual(complaints, [], verified.stderr)
        rated = run('systemd-analyze', 'security', '--offline=true', '--threshold=40', str(unit), check=False)
        self.assertEqual(rated.returncode, 0, rated.stdout + rated.stderr)


if __name__ == '__main__':
    if BUILD is None:
        sys.exit(__doc__)
    unittest.main(argv=sys.argv[:1], verbosity=2)
