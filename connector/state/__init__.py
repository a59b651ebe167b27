"""Everything that survives a restart: canonical rows, bookmarks, runs, leases, dead letters, plans, the write ledger, own history."""
