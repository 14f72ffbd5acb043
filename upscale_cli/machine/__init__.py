"""The machine: files that are replaced only when complete, memory, processors."""
