"""The parts of tests/bench/relay."""
