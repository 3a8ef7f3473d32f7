#!/usr/bin/env python3
"""Fails when an option of turnd has no test of its behaviour and is not listed as such.

Every option that `turnd --help` describes stands in coverage.txt with the tests that show it, or on the list "Accepted, not verified" of
docs/migrating-from-coturn.md; not in both. That list is short. Each named test exists: "Class.test" in a Python test, "Suite.Name" in a C++ one.

Usage: check_coverage.py SOURCE_DIRECTORY TURND
"""
import ast
import pathlib
import re
import subprocess
import sys

LONGEST_LIST = 12
CPP_TEST = re.compile(r"^TEST(?:_P|_F)?\(\s*(\w+),\s*(\w+)\)", re.MULTILINE)
HELP_OPTION = re.compile(r"^  (?:-\w, )?--([A-Za-z0-9_-]+)", re.MULTILINE)


def options_of(turnd):
    text = subprocess.run([turnd, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
    return set(HELP_OPTION.findall(text.split("\nExamples:", maxsplit=1)[0]))


def tests_of(source):
    tests = set()
    for path in (source / "tests").rglob("*_test.cc"):
        tests.update(f"{suite}.{name}" for suite, name in CPP_TEST.findall(path.read_text()))
    for path in (source / "tests").rglob("*_test.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                tests.update(f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef))
    return tests


def coverage_of(path, problems):
    """{option: its tests}."""
    coverage = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        option, colon, tests = line.partition(":")
        if not colon or not tests.split():
            problems.append(f"{path.name}:{number}: expected OPTION: TEST...")
        elif option in coverage:
            problems.append(f"{path.name}:{number}: {option} stands there twice")
        else:
            coverage[option] = tests.split()
    return coverage


def unverified_of(page):
    section = page.read_text().split("\n## Accepted, not verified\n")[1].split("\n## ")[0]
    return set(re.findall(r"^- `([A-Za-z0-9_-]+)`", section, re.MULTILINE))


def check(source, turnd):
    problems = []
    options, tests = options_of(turnd), tests_of(source)
    coverage = coverage_of(source / "tests/options/coverage.txt", problems)
    unverified = unverified_of(source / "docs/migrating-from-coturn.md")
    for option in sorted(options - set(coverage) - unverified):
        problems.append(f"{option}: no test in coverage.txt, and not on the list of the migration page")
    for option in sorted((set(coverage) | unverified) - options):
        problems.append(f"{option}: turnd --help does not have it")
    for option in sorted(set(coverage) & unverified):
        problems.append(f"{option}: has tests, so it does not belong on the list of the migration page")
    for option, named in coverage.items():
        problems += [f"coverage.txt: {option}: there is no test {name}" for name in named if name not in tests]
    if len(unverified) > LONGEST_LIST:
        problems.append(f"docs/migrating-from-coturn.md: {len(unverified)} options are not verified; at most {LONGEST_LIST}")
    return problems


def main():
    problems = check(pathlib.Path(sys.argv[1]), sys.argv[2])
    print("\n".join(problems) or "every option is tested or listed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
