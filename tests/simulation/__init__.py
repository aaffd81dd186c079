"""The whole system in one thread and in virtual time: real rules, an in-memory broker, seeded faults."""
