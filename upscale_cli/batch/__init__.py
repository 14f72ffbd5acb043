"""Many images: plan, run, report. Knows no terminal."""
