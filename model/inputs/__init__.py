"""What the network is given: pixels, tokens, prompts."""
