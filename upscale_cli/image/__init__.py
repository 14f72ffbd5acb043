"""What an image is: pixels with a meaning, metadata, colour."""
