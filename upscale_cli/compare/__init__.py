"""One image by several methods, to look at: numbers, a page, a sheet. Prints nothing and writes no file."""
