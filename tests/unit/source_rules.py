#!/usr/bin/env python3
"""Checks rules of the source tree that no compiler checks: who may include whom, and who may touch byte order.

Usage: source_rules.py ROOT
"""
import pathlib
import re
import sys

# The arrows of the design: a folder of lib/ includes itself and what is left of it.
LAYERS = ["base", "stun", "auth", "net", "client"]
BESIDE = {"store": ["base", "stun", "auth", "net", "store"]}  # folders beside the chain
PURE = ["lib/stun/", "turnd/engine/"]  # protocol without I/O
SOCKET_HEADERS = r"<(sys/socket|sys/un|sys/epoll|netinet/.*|arpa/inet|netdb|net/if|linux/.*|event2/.*)(\.h)?>"
# Headers that cost seconds to compile, and the files that may pay for them.
HEAVY = {"spdlog/": r"lib/base/log\.cc", "ares": r"lib/net/srv\.cc"}


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def may_include(path, target):
    """Whether the file at `path` may include the project header `target`."""
    folder = path.split("/")[1] if path.startswith("lib/") else None
    if folder is None:
        return True
    if target.split("/")[0] in ("turnd", "stund", "probe", "capture", "tests"):
        return False
    layers = BESIDE.get(folder) or LAYERS[: LAYERS.index(folder) + 1]
    return target.split("/")[0] in layers


def violations(path, text):
    code = without_comments(text)
    for number, line in enumerate(code.split("\n"), start=1):
        include = re.match(r'\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))', line)
        if include and include.group(1) and "/" in include.group(1) and not may_include(path, include.group(1)):
            yield f'{path}:{number}: "{include.group(1)}" lies above this layer'
        if include and include.group(2):
            for heavy, allowed in HEAVY.items():
                if include.group(2).startswith("<" + heavy) and not re.fullmatch(allowed, path):
                    yield f"{path}:{number}: {include.group(2)} may be included by {allowed} only"
        if any(path.startswith(folder) for folder in PURE):
            if include and include.group(2) and re.match(SOCKET_HEADERS, include.group(2)):
                yield f"{path}:{number}: socket header {include.group(2)} in code that does no I/O"
            if include and (include.group(1) or "").startswith("net/"):
                yield f'{path}:{number}: "{include.group(1)}" in code that does no I/O'
            for word in re.findall(r"\b(?:[nh]to[hn][sl]+|[hb]e(?:16|32|64)to[hb]e?|reinterpret_cast)\b", line):
                yield f"{path}:{number}: {word}; byte order and packet memory belong to base/bytes.h"


def self_test():
    """Each rule must catch what it is for, and let the rest pass."""
    bad = [
        ("lib/base/a.h", '#include "stun/types.h"'),
        ("lib/stun/a.cc", '#include "auth/nonce.h"'),
        ("lib/net/a.cc", '#include "client/binding.h"'),
        ("lib/client/a.cc", '#include "turnd/config.h"'),
        ("lib/store/a.cc", '#include "client/binding.h"'),
        ("lib/stun/a.cc", "#include <sys/socket.h>"),
        ("lib/stun/a.cc", "x = ntohs(y);"),
        ("lib/stun/a.cc", "x = htonl(y);"),
        ("turnd/engine/a.cc", "reinterpret_cast<int*>(p)"),
        ("turnd/engine/a.cc", '#include "net/fd.h"'),
        ("lib/net/a.cc", "#include <spdlog/spdlog.h>"),
    ]
    good = [
        ("lib/auth/a.cc", '#include "base/log.h"\n#include "auth/nonce.h"\n#include <array>'),
        ("lib/client/a.cc", '#include "net/fd.h"'),
        ("lib/stun/a.cc", "// no ntohs or reinterpret_cast here\n/* htons\n */"),
        ("lib/base/log.cc", "#include <spdlog/logger.h>"),
        ("turnd/relay/a.cc", '#include "net/fd.h"'),
    ]
    for path, text in bad:
        assert list(violations(path, text)), (path, text)
    for path, text in good:
        assert not list(violations(path, text)), (path, text)


def main():
    self_test()
    root = pathlib.Path(sys.argv[1])
    files = [p for top in ("lib", "turnd", "stund", "probe", "capture") for p in sorted((root / top).rglob("*"))]
    files = [p for p in files if p.suffix in (".h", ".cc")]
    if len(files) < 20:
        sys.exit(f"only {len(files)} sources under {root}: wrong folder?")
    found = [v for p in files for v in violations(p.relative_to(root).as_posix(), p.read_text())]
    for violation in found:
        print(violation)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
