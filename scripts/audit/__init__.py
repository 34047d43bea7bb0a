"""`make audit`: every layer of evidence that the contracts are right, in one run with one table."""
