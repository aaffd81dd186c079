"""What ends the program without success."""


class BackupError(Exception):
    """Nothing was backed up, or restored. The message is one sentence for the person who asked for it."""
