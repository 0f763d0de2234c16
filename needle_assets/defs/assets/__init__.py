"""The assets, a module per group. Keys, groups, partitions and columns are a contract."""
