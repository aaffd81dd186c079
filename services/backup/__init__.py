"""Backs up and restores every stream that the table of services says is backed up. A program for operators, not a service."""
