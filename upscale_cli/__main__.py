"""`python -m upscale_cli`."""

from upscale_cli.commands.upscale import main

main()
