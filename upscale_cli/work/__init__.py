"""The work on one image: what is asked for, what it takes, and how it is done."""
