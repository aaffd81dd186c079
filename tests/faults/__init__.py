"""Faults for real: processes killed, stopped and cut off under load, and what must hold afterwards. `make faults`."""
