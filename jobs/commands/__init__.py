"""One module for each command of `glipforge`, with its `Config` and `run(config)`."""
