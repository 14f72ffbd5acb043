"""`python -m upscale_cli`."""

from upscale_cli.commands.entry import upscale

upscale()
