"""Learning kernels from photographs, and measuring how good a method is. NumPy alone; opens no file, prints nothing."""
