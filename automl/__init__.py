"""The engine: knows no gRPC, no SQL, no command line."""

__version__ = "0.1.0"
