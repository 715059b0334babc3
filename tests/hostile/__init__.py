"""Servers and kits that misbehave, for the tests of containment and of launching."""
