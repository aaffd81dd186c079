"""The whole system in one thread and in no time: real rules, an in-memory broker, seeded faults; same seed, same run."""
