"""The version of this release: shown by `/healthz`, `$SRV.INFO` and `parley_build_info`."""

__version__ = "0.5.0"
PROTOCOL = "parley.v1"
