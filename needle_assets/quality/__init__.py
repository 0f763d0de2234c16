"""Great Expectations suites over the project's tables, and the runner that reports on them."""
