"""Messages and stubs generated from proto/scotoma/v1 by `make proto`; not to be edited."""
