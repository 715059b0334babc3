"""wnohang: a specification-driven conformance test kit for concurrent TCP servers."""

__version__ = "0.1.0"
