"""One module a layer of evidence."""
