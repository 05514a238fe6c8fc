"""The audit log: a chain of records, its head, and the lock under which it is written."""
