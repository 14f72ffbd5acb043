"""Training the networks that the package ships; needs the extra `train` (PyTorch). Never imported at run time."""
