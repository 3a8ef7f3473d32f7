#!/usr/bin/env python3
"""Writes the fuzz targets' first corpora from seeds.txt: one file for each message and target.

Usage: seeds.py SEEDS.TXT OUTPUT_DIRECTORY TARGET...
"""
import pathlib
import sys


def read(path):
    """Returns {target: prefix} and [(name, message)]."""
    prefixes, messages, section = {}, [], None
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) == 1 and words[0].startswith("["):
            section = words[0]
            continue
        try:
            value = bytes.fromhex("".join(words[1:]))
        except ValueError:
            sys.exit(f"{path}:{number}: not hex: {line}")
        if section == "[prefixes]":
            prefixes[words[0]] = value
        elif section == "[messages]":
            messages.append((words[0], value))
        else:
            sys.exit(f"{path}:{number}: outside [prefixes] and [messages]: {line}")
    return prefixes, messages


def main():
    source, output, targets = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    prefixes, messages = read(source)
    for target in targets:
        folder = output / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, message in messages:
            (folder / name).write_bytes(prefixes.get(target, b"") + message)


if __name__ == "__main__":
    main()
