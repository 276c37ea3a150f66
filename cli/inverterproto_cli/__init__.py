"""The `inverterproto` programs: thin wrappers around the codec package. All I/O lives here."""
