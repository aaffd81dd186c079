"""The command line `parley` (docs/command-line.md). Its libraries are the extra `parley[cli]`."""
