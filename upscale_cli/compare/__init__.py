"""One image enlarged by several methods: numbers, a page, a sheet. Prints nothing and writes no file."""
