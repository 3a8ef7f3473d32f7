#!/usr/bin/env python3
"""Fails when docs/conformance.md and the tests disagree.

Each row of ids.txt stands in the document exactly once, with the tests that show it (in backticks, "Suite.Name" with * and ?) or with
"later:" or "not ours:" and the reason. Each named test exists. Each test that carries a row's id in its name is named in that row.

Usage: check_coverage.py SOURCE_DIRECTORY
"""
import fnmatch
import pathlib
import re
import sys

PREFIXES = {"TURN": 3, "TCP": 3, "MOB": 3, "TPA": 3, "NBD": 3, "REST": 3, "NEG": 3, "LT": 1, "ST": 1, "BC": 1}
TEST = re.compile(r"^TEST(?:_P|_F)?\(\s*(\w+),\s*(\w+)\)", re.MULTILINE)
ROW = re.compile(r"^\|\s*((?:%s)-\d+)\s*\|(.*)\|\s*$" % "|".join(PREFIXES))
EXCUSES = ("later:", "not ours:")


def tests_of(source):
    """Every test of the tree, as Suite.Name: where it stands."""
    tests = {}
    for path in sorted((source / "tests").rglob("*_test.cc")):
        for suite, name in TEST.findall(path.read_text()):
            tests[f"{suite}.{name}"] = path.relative_to(source)
    return tests


def ids_in(name):
    """TURN_190_191_says -> TURN-190, TURN-191."""
    found = set()
    for prefix, digits in PREFIXES.items():
        number = r"\d{%d}" % digits
        for match in re.finditer(rf"(?:^|_){prefix}((?:_{number}(?=_|$))+)", name):
            found.update(f"{prefix}-{n}" for n in re.findall(number, match.group(1)))
    return found


def rows_of(document, problems):
    """{id: the cells behind it}."""
    rows = {}
    for number, line in enumerate(document.read_text().splitlines(), start=1):
        match = ROW.match(line)
        if not match:
            continue
        row, cells = match.groups()
        if row in rows:
            problems.append(f"{document.name}:{number}: {row} stands there twice")
        rows[row] = cells
    return rows


def check(source):
    problems = []
    ids = [line for line in (source / "tests/conformance/ids.txt").read_text().split("\n") if line and line[0] != "#"]
    tests = tests_of(source)
    rows = rows_of(source / "docs/conformance.md", problems)
    problems += [f"docs/conformance.md: {row} is missing" for row in ids if row not in rows]
    problems += [f"docs/conformance.md: {row} is no row of ids.txt" for row in rows if row not in ids]

    listed = {}
    for row, cells in rows.items():
        patterns = re.findall(r"`(\w+\.[\w*?]+)`", cells)
        matched = {test for pattern in patterns for test in fnmatch.filter(tests, pattern)}
        listed[row] = matched
        problems += [f"{row}: no test is named {p}" for p in patterns if not fnmatch.filter(tests, p)]
        if not patterns and not any(excuse in cells for excuse in EXCUSES):
            problems.append(f"{row}: neither a test nor one of {', '.join(EXCUSES)}")
        by_name = all("*" not in p and "?" not in p for p in patterns)
        if patterns and not by_name and not any(row in ids_in(test.split(".")[1]) for test in matched):
            problems.append(f"{row}: none of its tests has the id in its name")

    for test, path in tests.items():
        for row in sorted(ids_in(test.split(".")[1])):
            if row not in ids:
                problems.append(f"{path}: {test} names {row}, which is no row of ids.txt")
            elif test not in listed.get(row, ()):
                problems.append(f"{path}: {test} is not listed at {row} in docs/conformance.md")
    return problems


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    problems = check(pathlib.Path(sys.argv[1]))
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
