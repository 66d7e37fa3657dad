"""One file per verb: a frozen dataclass, its configuration, and a function, its work."""
