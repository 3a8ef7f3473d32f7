"""What the interop and integration tests share. Standard library only; run with Debian's /usr/bin/python3."""
