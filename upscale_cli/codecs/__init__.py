"""The file formats: one module each, one row of `FORMATS` each."""
