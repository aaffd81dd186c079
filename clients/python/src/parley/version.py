"""The one place where the client's version is written."""

__version__ = "0.5.0"
