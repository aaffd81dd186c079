"""Programs from the documentation. Tests run each of them as it stands."""
