"""A GLIP as the pipeline sees it: loaded by name, asked, its answers put together."""
