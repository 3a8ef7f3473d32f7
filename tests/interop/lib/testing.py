"""The frame of a test script: `script --list` names its tests for CMake, `script --turnd PATH --probe PATH NAME` runs one.

Exit codes: 0 passed, 1 failed, 77 skipped (ctest's SKIP_RETURN_CODE); the reason is in the output.
"""

import argparse
import os
import shutil
import sys
import tempfile
import unittest

SKIPPED = 77


def probe_path():
    """turn-probe, from the command line of the test."""
    path = os.environ.get('TURN_PROBE')
    if not path:
        raise RuntimeError('name the probe: --probe PATH')
    return path


def against():
    """Which server the tests are about, where they can do with either: 'turnd', or 'coturn' to prove the tests."""
    return os.environ.get('TURNKIT_AGAINST', 'turnd')


def case(*, timeout=60, labels=()):
    """Marks a test method: `timeout` is ctest's, in seconds; `labels` are added to those of its folder."""

    def mark(method):
        method.test_timeout = timeout
        method.test_labels = tuple(labels)
        return method

    return mark


class TestCase(unittest.TestCase):
    """A test with a directory of its own, that ends what it started."""

    maxDiff = None
    longMessage = True

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='turnkit-')
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def started(self, process):
        """Registers a process to be ended with the test, and returns it."""
        self.addCleanup(process.kill)
        return process

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text, mode=0o600):
        """A file in the test's directory; its path."""
        path = self.path(name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def read(self, path):
        with open(path, encoding='utf-8') as file:
            return file.read()


def _tests(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _tests(test)
        else:
            yield test


def _name(test):
    return f'{type(test).__name__}.{test._testMethodName}'  # pylint: disable=protected-access


def main():
    parser = argparse.ArgumentParser(description=sys.modules['__main__'].__doc__)
    parser.add_argument('--turnd', help='the turnd program under test')
    parser.add_argument('--probe', help='the turn-probe program')
    parser.add_argument('--against', choices=('turnd', 'coturn'), help='the server that tests which know both use')
    parser.add_argument('--list', action='store_true', help='print NAME TIMEOUT LABEL,LABEL... for every test')
    parser.add_argument('names', nargs='*', metavar='CLASS.METHOD')
    arguments = parser.parse_args()

    found = {_name(test): test for test in _tests(unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__']))}
    if arguments.list:
        for name, test in found.items():
            method = getattr(test, name.split('.')[1])
            labels = getattr(method, 'test_labels', ())
            print(name, getattr(method, 'test_timeout', 60), *([','.join(labels)] if labels else []))
        return
    if arguments.turnd:
        os.environ['TURND'] = os.path.abspath(arguments.turnd)
    if arguments.probe:
        os.environ['TURN_PROBE'] = os.path.abspath(arguments.probe)
    if arguments.against:
        os.environ['TURNKIT_AGAINST'] = arguments.against
    unknown = [name for name in arguments.names if name not in found]
    if unknown:
        parser.error(f'no such test: {" ".join(unknown)}')
    suite = unittest.TestSuite(found[name] for name in arguments.names or found)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun == len(result.skipped):
        for test, reason in result.skipped:
            print(f'skipped: {test}: {reason}')
        sys.exit(SKIPPED)
